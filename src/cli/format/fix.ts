/** What is to be typed, and what is to be known about it. In one text they are kept apart by three spaces: `command   (note)`. */
export interface Fix {
  readonly command: string;
  readonly note: string | undefined;
}

export function splitFix(text: string): Fix {
  const at = text.search(/ {3}[(（]/);
  if (at < 1 || text.length < at + 6 || !/[)）]$/.test(text)) return { command: text, note: undefined };
  return { command: text.slice(0, at), note: text.slice(at + 4, -1) };
}

/**
 * The same fix for a profile: what is pasted must reach the state dir that it was said about. What is to be typed on another machine knows
 * nothing of profiles here.
 */
export function forProfile(text: string, profileFlag: string): string {
  const isHere = text.startsWith('openclaw ') && !text.startsWith(`openclaw ${profileFlag} `);
  return profileFlag !== '' && isHere ? text.replace(/^openclaw /, `openclaw ${profileFlag} `) : text;
}
