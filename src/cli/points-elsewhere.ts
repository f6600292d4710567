/**
 * Whether the text of a config file could make a client talk to another gateway than this machine's own: by `mode: "remote"`, or by a
 * variable that names a URL. Judged without a parser, because `openclaw health` asks it on every call and the JSON5 library alone would
 * cost more than the answer. A `true` only means: parse it and see. A `false` is certain: outside of comments the text has neither these
 * words, nor an escape or a variable that could spell them, nor an include that could hold them.
 */
export const configMayPointElsewhere = (text: string): boolean =>
  /remote|OPENCLAW_GATEWAY_URL|\$include|\$\{|\\/.test(withoutComments(text));

/** The same for `<state>/.env`. */
export const dotenvMayPointElsewhere = (text: string): boolean => text.includes('OPENCLAW_GATEWAY_URL');

/** JSON5 without its comments; what looks like one inside a string stays. */
function withoutComments(text: string): string {
  let kept = '';
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"' || c === "'") {
      for (i++; i < text.length && text[i] !== c; i++) if (text[i] === '\\') i++;
    } else if (c === '/' && (text[i + 1] === '/' || text[i + 1] === '*')) {
      kept += text.slice(from, i);
      const end = text[i + 1] === '*' ? text.indexOf('*/', i + 2) : text.slice(i).search(/[\n\r\u2028\u2029]/);
      // A comment that never ends is no valid file: let the parser say so.
      if (text[i + 1] === '*' && end === -1) return `${kept}\\`;
      i = text[i + 1] === '*' ? end + 1 : end === -1 ? text.length : i + end - 1;
      from = i + 1;
    }
  }
  return `${kept} ${text.slice(from)}`;
}
