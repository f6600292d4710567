import { isLoopback, isTailnet, limiterKey, parseIp } from '../net/addresses.ts';
import type { ConnectionFacts } from './facts.ts';

/**
 * How a connection arrived, by facts of the transport alone. `address` is whom to log, `key` whom to count: two ingresses never share a
 * key, so that a flood through one forwarder cannot lock out another way in.
 */
export type Ingress =
  | { readonly kind: 'socket' | 'local' | 'neighbour' | 'serve' | 'public' | 'proxied'; readonly address: string; readonly key: string }
  | {
      readonly kind: 'remote';
      readonly via: 'lan' | 'tailnet' | 'tls';
      readonly address: string;
      readonly key: string;
      /** Why this is not more than remote, with the config line that would change it; for the log and `status`. */
      readonly note?: string;
    };

/**
 * Pure and total. A header may lower what is found here, never raise it: the admin socket and `local` need the *absence* of forwarding
 * headers, `public` their presence, and `proxied` a peer that the owner listed.
 */
export function ingressOf(facts: ConnectionFacts): Ingress {
  const peer = facts.peer?.address ?? (facts.listener === 'socket' ? 'socket' : 'unknown');
  const client = facts.forwarding.client;
  const believed = facts.listener === 'serve' || facts.peerIsTrustedProxy ? (client ?? peer) : peer;

  if (facts.forwarding.funnel || facts.declaredPublic === true) return at('public', believed);
  if (facts.listener === 'serve') return at('serve', believed);
  if (facts.listener === 'socket') {
    if (!facts.forwarding.present && facts.origin === 'absent') return at('socket', 'socket');
    return remote(facts, peer, 'a proxy or a web page was led to the admin socket, which is for the local CLI only');
  }
  if (facts.peerIsTrustedProxy) {
    if (facts.forwarding.present && client !== undefined) return at('proxied', client);
    return remote(facts, peer, `${peer} is listed in gateway.trustedProxies but names no client: let it set X-Forwarded-For`);
  }
  if (!isLoopbackText(facts.peer?.address) || !isLoopbackText(facts.local?.address)) {
    return remote(facts, peer, facts.forwarding.present ? unlisted(facts, peer) : undefined);
  }
  if (facts.forwarding.present) return remote(facts, peer, unlisted(facts, peer));
  if (!facts.hostIsLoopback || facts.host !== 'known') {
    return remote(
      facts,
      peer,
      `a forwarder on ${peer} that adds no header: let it set X-Forwarded-For and add gateway.trustedProxies: ["${peer}"]`,
    );
  }
  if (facts.origin === 'foreign' || facts.origin === 'invalid') return remote(facts, peer, undefined);
  switch (facts.peerUid.kind) {
    case 'own':
    case 'unknown':
      return at('local', peer);
    case 'other':
    case 'missing':
      return { kind: 'neighbour', address: peer, key: `neighbour:${facts.peerUid.uid ?? 'unknown'}` };
  }
}

const isLoopbackText = (text: string | undefined): boolean => {
  const ip = text === undefined ? undefined : parseIp(text);
  return ip !== undefined && isLoopback(ip);
};

const unlisted = (facts: ConnectionFacts, peer: string): string =>
  `${facts.forwarding.names.slice(0, 4).join(', ')} from ${peer}, which is not a listed proxy; if it is yours: gateway.trustedProxies: ["${peer}"]`;

const at = (kind: Exclude<Ingress['kind'], 'remote'>, address: string): Ingress => ({
  kind,
  address,
  key: kind === 'socket' ? 'socket' : `${kind}:${limiterKey(address)}`,
});

function remote(facts: ConnectionFacts, address: string, note: string | undefined): Ingress {
  const local = facts.local === undefined ? undefined : parseIp(facts.local.address);
  const via = facts.tls ? 'tls' : local !== undefined && isTailnet(local) ? 'tailnet' : 'lan';
  const base = { kind: 'remote', via, address, key: `remote:${limiterKey(address)}` } as const;
  return note === undefined ? base : { ...base, note };
}
