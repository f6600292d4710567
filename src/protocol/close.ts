/** WebSocket close codes this gateway uses (RFC 6455 §7.4, and 4xxx of the OpenClaw clients). */
export const CLOSE = {
  normal: 1000,
  protocol: 1002,
  policy: 1008,
  tooLarge: 1009,
  restart: 1012,
  /** What all unfinished messages may hold together is used up, and this one held most. */
  tryLater: 1013,
  /** A device was removed, its token revoked or rotated, or the shared secret changed. */
  revoked: 4001,
} as const;
export type CloseCode = (typeof CLOSE)[keyof typeof CLOSE];

/** Cuts a close reason to `max` bytes of UTF-8 without splitting a character. */
export function closeReason(text: string, max: number): string {
  let bytes = 0;
  let end = 0;
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (bytes > max) break;
    end += char.length;
  }
  return text.slice(0, end);
}
