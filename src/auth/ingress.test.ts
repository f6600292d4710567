import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FACTS } from '../../test/support/door.ts';
import type { ConnectionFacts } from './facts.ts';
import { type Ingress, ingressOf } from './ingress.ts';

describe('ingressOf', () => {
  test.each(Object.entries(FACTS))('AU-10 %s', (kind, facts) => {
    expect(ingressOf(facts).kind).toBe(kind);
  });

  const local: ConnectionFacts = FACTS.local;
  const forwarded = { present: true, names: ['x-forwarded-for'], funnel: false };

  test.each<[string, ConnectionFacts, Ingress['kind']]>([
    ['another uid', { ...local, peerUid: { kind: 'other', uid: 7 } }, 'neighbour'],
    ['no owner found', { ...local, peerUid: { kind: 'missing' } }, 'neighbour'],
    ['a system that cannot tell the owner', { ...local, peerUid: { kind: 'unknown' } }, 'local'],
    ['IPv6 loopback', { ...local, peer: { address: '::1' }, local: { address: '::1', port: 1 } }, 'local'],
    ['mapped loopback', { ...local, peer: { address: '::ffff:127.0.0.1' } }, 'local'],
    ['a passing Origin', { ...local, origin: 'pass' }, 'local'],
    ['a foreign Origin', { ...local, origin: 'foreign' }, 'remote'],
    ['no valid Origin', { ...local, origin: 'invalid' }, 'remote'],
    ['a Host that is no loopback name', { ...local, hostIsLoopback: false }, 'remote'],
    ['an unlisted forwarder', { ...local, forwarding: forwarded }, 'remote'],
    ['a listed proxy without a header', { ...local, peerIsTrustedProxy: true }, 'remote'],
    ['a listed proxy that names no client', { ...local, peerIsTrustedProxy: true, forwarding: forwarded }, 'remote'],
    ['a loopback peer on an address of the network', { ...local, local: { address: '192.168.1.10', port: 1 } }, 'remote'],
    ['a network peer on loopback', { ...local, peer: { address: '192.168.1.20' } }, 'remote'],
    ['a peer nobody knows', { ...local, peer: undefined }, 'remote'],
    ['the socket behind a proxy', { ...FACTS.socket, forwarding: forwarded }, 'remote'],
    ['the socket from a page', { ...FACTS.socket, origin: 'pass' }, 'remote'],
    ['Funnel on any listener', { ...FACTS.remote, forwarding: { ...forwarded, funnel: true } }, 'public'],
    ['a listener declared public', { ...local, declaredPublic: true }, 'public'],
  ])('AU-10 %s', (_, facts, kind) => {
    expect(ingressOf(facts).kind).toBe(kind);
  });

  test('AU-11 what is not believed names the config line that would change it', () => {
    const unlisted = ingressOf({ ...local, forwarding: forwarded });
    expect(unlisted).toMatchObject({ kind: 'remote', note: expect.stringContaining('gateway.trustedProxies: ["127.0.0.1"]') });
    expect(ingressOf({ ...local, peerIsTrustedProxy: true })).toMatchObject({ note: expect.stringContaining('X-Forwarded-For') });
  });

  test.each([
    ['lan', { ...FACTS.remote }],
    ['tailnet', { ...FACTS.remote, local: { address: '100.101.102.103', port: 18789 } }],
    ['tls', { ...FACTS.remote, tls: true }],
  ] as const)('AU-10 remote via %s', (via, facts) => {
    expect(ingressOf(facts)).toMatchObject({ kind: 'remote', via });
  });

  const address = fc.constantFrom('127.0.0.1', '::1', '192.168.1.20', '100.64.0.9', '203.0.113.7', 'garbage', '');
  const facts: fc.Arbitrary<ConnectionFacts> = fc.record({
    listener: fc.constantFrom('socket' as const, 'tcp' as const, 'serve' as const),
    declaredPublic: fc.boolean(),
    peer: fc.option(fc.record({ address }), { nil: undefined }),
    local: fc.option(fc.record({ address, port: fc.nat(65535) }), { nil: undefined }),
    peerUid: fc.record({ kind: fc.constantFrom('own' as const, 'other' as const, 'unknown' as const, 'missing' as const) }),
    tls: fc.boolean(),
    host: fc.constantFrom('known' as const, 'unknown' as const),
    hostIsLoopback: fc.boolean(),
    origin: fc.constantFrom('absent' as const, 'pass' as const, 'foreign' as const, 'invalid' as const),
    peerIsTrustedProxy: fc.boolean(),
    forwarding: fc.record({ present: fc.boolean(), names: fc.array(fc.string(), { maxLength: 3 }), funnel: fc.boolean(), client: address }),
  });
  const without = (f: ConnectionFacts): ConnectionFacts => ({ ...f, forwarding: { present: false, names: [], funnel: false } });
  /** How much an ingress is trusted; `proxied` and `serve` are other ways in, not higher ones. */
  const RANK: Record<Ingress['kind'], number> = { socket: 4, local: 3, neighbour: 2, serve: 1, proxied: 1, remote: 1, public: 0 };

  test('AU-12 total', () => {
    fc.assert(fc.property(facts, (f) => Object.hasOwn(RANK, ingressOf(f).kind)));
  });

  test('AU-12 no header raises: with forwarding headers nothing ranks above what it is without them', () => {
    fc.assert(fc.property(facts, (f) => RANK[ingressOf(f).kind] <= RANK[ingressOf(without(f)).kind]));
  });

  test('AU-12 a forwarding header never leaves a connection socket, local or neighbour', () => {
    fc.assert(
      fc.property(
        facts,
        (f) => !['socket', 'local', 'neighbour'].includes(ingressOf({ ...f, forwarding: { ...f.forwarding, present: true } }).kind),
      ),
    );
  });

  test('AU-12 an unlisted peer is never believed about its client', () => {
    fc.assert(
      fc.property(facts, (f) => {
        const unlisted: ConnectionFacts = { ...f, listener: 'tcp', peerIsTrustedProxy: false };
        const other = { ...unlisted, forwarding: { ...unlisted.forwarding, client: '198.51.100.1' } };
        return ingressOf(unlisted).key === ingressOf(other).key && ingressOf(other).kind !== 'proxied';
      }),
    );
  });

  test('AU-12 two ways in never share a limiter key', () => {
    fc.assert(
      fc.property(facts, facts, (a, b) => {
        const [one, two] = [ingressOf(a), ingressOf(b)];
        return one.kind === two.kind || one.key !== two.key;
      }),
    );
  });
});
