/** What `openclaw` ends with. Documented in `openclaw --help`; scripts rely on it. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** No gateway answered. */
  unreachable: 3,
  /** A gateway answered and did not let us in or do it: credentials, pairing, scope. */
  refused: 4,
  /** Ctrl-C. */
  interrupted: 130,
} as const;
