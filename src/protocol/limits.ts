/** Deadlines (ms), sizes (bytes) and counts of the wire. Named once; tests import them. */
export const LIMITS = {
  /** From open to a finished `connect`. */
  handshakeMs: 15_000,
  /** Largest frame before `connect` was accepted. */
  preauthBytes: 64 * 1024,
  /** Largest frame after, for who may call nothing that takes more; refused by size where the method takes less. */
  smallPayload: 1024 * 1024,
  /** Largest frame of those who may: attachments travel in `chat.send`. */
  maxPayload: 25 * 1024 * 1024,
  /** Unsent bytes a connection may pile up before it counts as slow. */
  maxBufferedBytes: 16 * 1024 * 1024,
  tickIntervalMs: 30_000,
  pingIntervalMs: 20_000,
  /** Pings in a row that went unanswered before the link counts as dead. */
  missedPings: 2,
  /** WebSockets that have been silent since they came, beyond a grace: per address, and in all. The oldest goes. */
  preauthPerAddress: 32,
  preauthTotal: 512,
  /** Silent ones in all, grace or none. */
  preauthCrowd: 8_192,
  /** `signedAt` of a device proof may differ from our clock by this much. */
  signatureSkewMs: 120_000,
  healthRefreshMs: 60_000,
  presenceMs: 5 * 60_000,
  presenceEntries: 200,
  /** Of them in `hello-ok` and events, the newest that fit. */
  presenceBytes: 32 * 1024,
  /** Close reasons are cut to this many bytes of UTF-8 (RFC 6455 allows 123). */
  closeReasonBytes: 120,
  /** Calls of one principal that wait for a run to end, over all its connections; another one is told to come back. */
  waitingCalls: 2_048,
  /** Wrong-role calls on one connection before it is closed. */
  unauthorizedCalls: 10,
  historyBytes: 6 * 1024 * 1024,
  historyMessageBytes: 128 * 1024,
  historyTextChars: 12_000,
} as const;
