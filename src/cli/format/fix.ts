/** What is to be typed, and what is to be known about it. In one text they are kept apart by three spaces: `command   (note)`. */
export interface Fix {
  readonly command: string;
  readonly note: string | undefined;
}

export function splitFix(text: string): Fix {
  const found = /^(.+?) {3}[(（](.+)[)）]$/s.exec(text);
  return found === null ? { command: text, note: undefined } : { command: found[1] ?? text, note: found[2] };
}

/**
 * The same fix for a profile: what is pasted must reach the state dir that it was said about. What is to be typed on another machine knows
 * nothing of profiles here.
 */
export function forProfile(text: string, profileFlag: string): string {
  const isHere = text.startsWith('openclaw ') && !text.startsWith(`openclaw ${profileFlag} `);
  return profileFlag !== '' && isHere ? text.replace(/^openclaw /, `openclaw ${profileFlag} `) : text;
}
