/** Protocol versions this gateway speaks, lowest and highest. */
export const MIN_PROTOCOL = 3;
export const MAX_PROTOCOL = 4;
export type Protocol = 3 | 4;

/** The highest version both sides speak, or undefined. Client ranges are closed: `3–4` gets 4, `3–3` gets 3. */
export function negotiate(minProtocol: number, maxProtocol: number): Protocol | undefined {
  const version = Math.min(maxProtocol, MAX_PROTOCOL);
  return version >= minProtocol && version >= MIN_PROTOCOL && minProtocol <= maxProtocol ? (version as Protocol) : undefined;
}
