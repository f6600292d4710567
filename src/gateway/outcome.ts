/** How a gateway's life ends: `restart` begins another one in this process. */
export type Outcome = { readonly kind: 'stop'; readonly code: number } | { readonly kind: 'restart' };
