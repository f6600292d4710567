/**
 * Texts with URLs in them, fit to be shown: scheme, host, port and path. A user part, a query and a fragment never are: people paste
 * secrets into all three. Everything up to the last `@` counts as user part, since a password may hold any character.
 */

/** One URL for a message. What is no URL is not repeated. */
export function shownUrl(text: string): string {
  const url = hideInUrl(text.trim(), '');
  return /^[a-z][a-z0-9+.-]*:\/\/[^\s/]+/i.test(url) ? url : '(not a URL)';
}

/** A text that is a URL as a whole, also one without its scheme, with `mark` where something was taken out. */
export function hideInUrl(text: string, mark: string): string {
  const scheme = text.indexOf('://');
  const head = scheme === -1 ? '' : text.slice(0, scheme + 3);
  return head + hideInRest(text.slice(head.length), mark, head.toLowerCase().endsWith('ssh://'));
}

/** A text with any number of URLs in it. */
export function hideInUrls(text: string, mark: string): string {
  if (!text.includes('://')) return text;
  return text.replace(/:\/\/[^\s"'`<>]+/g, (found, at: number) => {
    const isSsh = text.slice(Math.max(0, at - 3), at).toLowerCase() === 'ssh';
    return `://${hideInRest(found.slice(3), mark, isSsh)}`;
  });
}

// What follows the scheme. The login of ssh is no secret; what stands behind its colon is.
function hideInRest(rest: string, mark: string, isSsh: boolean): string {
  const at = rest.lastIndexOf('@');
  const user = at === -1 ? '' : rest.slice(0, at);
  const login = isSsh && /^[A-Za-z0-9._-]{1,64}$/.test(user.split(':', 1)[0] ?? '') ? (user.split(':', 1)[0] ?? '') : undefined;
  const place = rest.slice(at + 1);
  const end = place.search(/[?#]/);
  const shownUser = at === -1 ? '' : login === undefined ? mark : user === login ? login : mark === '' ? login : `${login}:${mark}`;
  const tail = end === -1 ? '' : [...new Set(place.slice(end).match(/[?#]/g))].map((sign) => (mark === '' ? '' : sign + mark)).join('');
  return `${shownUser}${shownUser === '' ? '' : '@'}${end === -1 ? place : place.slice(0, end)}${tail}`;
}
