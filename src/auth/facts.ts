/**
 * All that the transport knows about a connection, as plain data. The gateway makes it once per request; nobody behind the door sees
 * a socket or a header. What is claimed (client id, scopes, platform) is not here: a fact is something the caller cannot choose freely.
 */
export interface ConnectionFacts {
  /** `serve`: the listener that only tailscaled reaches, and the transport has proven for this very connection that it is tailscaled. */
  readonly listener: 'socket' | 'tcp' | 'serve';
  /** The listener stands behind an exposure that was declared public (Funnel, a public reverse proxy). */
  readonly declaredPublic?: boolean;
  /** Undefined on a unix socket. */
  readonly peer: { readonly address: string } | undefined;
  readonly local: { readonly address: string; readonly port: number } | undefined;
  readonly peerUid: PeerOwner;
  /** TLS ended here, in this process. */
  readonly tls: boolean;
  readonly host: 'known' | 'unknown';
  /** The Host header is a loopback name or address. */
  readonly hostIsLoopback: boolean;
  readonly origin: 'absent' | 'pass' | 'foreign' | 'invalid';
  readonly forwarding: ForwardingFacts;
  /** The peer is listed in `gateway.trustedProxies`. */
  readonly peerIsTrustedProxy: boolean;
}

/**
 * Who holds the other end of a loopback connection. `unknown`: this system cannot tell (counts as own). `missing`: it can, and found
 * nobody (counts as another).
 */
export interface PeerOwner {
  readonly kind: 'own' | 'other' | 'unknown' | 'missing';
  readonly uid?: number;
}

/** `Forwarded`, `X-Forwarded-*`, `X-Real-IP`, `CF-*`, `Tailscale-*`. */
export interface ForwardingFacts {
  readonly present: boolean;
  /** Lower case, for the log. */
  readonly names: readonly string[];
  /** The right-most untrusted address; only set when the peer is a listed proxy or the listener is `serve`. */
  readonly client?: string;
  /** `Tailscale-Funnel-Request` is there, in whatever form. */
  readonly funnel: boolean;
  /** `Tailscale-User-Login`, verbatim; believed only on `serve` and after whois. */
  readonly tailscaleLogin?: string;
  /** The value of `auth.trustedProxy.userHeader`, when every required header is there; believed only on `proxied`. */
  readonly proxyUser?: string;
  /** For a proxy on loopback: it showed the hop secret, or its uid is the configured one. */
  readonly proxyProven?: boolean;
}

export const NO_FORWARDING: ForwardingFacts = { present: false, names: [], funnel: false };
