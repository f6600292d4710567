/** Deadlines (ms), sizes (bytes) and counts of the HTTP side. Tests shorten some of them. */
export const HTTP_LIMITS = {
  /** Request line and headers together. Above it: 431. */
  headerBytes: 16 * 1024,
  /** From the first byte (or the connection) to the last header. */
  headerMs: 10_000,
  /** From the last header to the last byte of the body. */
  bodyMs: 30_000,
  /** An idle kept-alive connection. */
  keepAliveMs: 5_000,
  /** How often Node looks for requests past their deadline. */
  sweepMs: 1_000,
  connections: 16_384,
  /** Connections that have not sent one whole request head yet, beyond a grace of three seconds; and grace or none. The oldest goes. */
  silent: 1_024,
  silentCrowd: 8_192,
  /** A refused body is read on for this long and this far, so that the answer reaches a client that is still sending. */
  lingerMs: 1_000,
  lingerBytes: 256 * 1024,
  /** A stream whose reader takes nothing for this long is given up. */
  stalledMs: 120_000,
  /** Silence on a stream after which a comment is sent, so that nothing on the way takes it for dead. */
  commentMs: 15_000,
} as const;
export type HttpLimits = { readonly [Name in keyof typeof HTTP_LIMITS]: number };
