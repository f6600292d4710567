/** How a gateway's life ends: `restart` begins another one in this process. */
export type Outcome = { readonly kind: 'stop'; readonly code: number } | { readonly kind: 'restart' };

export const EXIT = {
  ok: 0,
  /** A refusal to start, with its reason printed; a supervisor should not try again at once. */
  refused: 1,
  /** Another gateway runs on this state dir, or the port is taken. */
  busy: 3,
} as const;
