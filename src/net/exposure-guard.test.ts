import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isReachableFromElsewhere, planBind } from './bind.ts';
import { type ExposureFacts, guardExposure } from './exposure-guard.ts';

const lo = [{ name: 'lo', address: '127.0.0.1', internal: true }];
const loopback = planBind({ mode: 'loopback', port: 18789, interfaces: lo });
const lan = planBind({ mode: 'lan', port: 18789, interfaces: lo });
const waiting = planBind({ mode: 'tailnet', port: 18789, interfaces: lo });
const STRONG = 'k3vXq0pZb71sYt5uWm9aRc2d';
const UNRESOLVED = ['$', '{OPENCLAW_GATEWAY_TOKEN}'].join('');
const facts = (changes: Partial<ExposureFacts>): ExposureFacts => ({
  plan: loopback,
  authMode: undefined,
  token: undefined,
  password: undefined,
  hasGeneratedToken: true,
  tailscaleMode: 'off',
  trustedProxies: [],
  generate: (kind) => `fresh-${kind}`,
  ...changes,
});
const codes = (changes: Partial<ExposureFacts>): readonly string[] => guardExposure(facts(changes)).map(({ code }) => code);

test('NET-14 loopback needs nothing configured', () => {
  expect(codes({})).toEqual([]);
  expect(codes({ hasGeneratedToken: false })).toEqual([]);
  expect(codes({ authMode: 'none' })).toEqual([]);
  expect(codes({ token: 'changeme' })).toEqual([]);
});

describe('NET-14 M24 a non-loopback bind needs a configured secret', () => {
  test.each([
    ['lan', lan],
    ['tailnet', waiting],
  ])('%s', (_name, plan) => {
    expect(codes({ plan })).toEqual(['BIND_NEEDS_SECRET']);
    expect(codes({ plan, token: '   ' })).toEqual(['BIND_NEEDS_SECRET']);
    expect(codes({ plan, authMode: 'token', password: STRONG })).toEqual(['BIND_NEEDS_SECRET']);
    expect(codes({ plan, authMode: 'none', token: STRONG })).toEqual(['AUTH_NONE_EXPOSED']);
    expect(codes({ plan, token: STRONG })).toEqual([]);
    expect(codes({ plan, password: STRONG })).toEqual([]);
  });
  test('the refusal names the address, both keys, both variables and a fresh value', () => {
    const [refusal] = guardExposure(facts({ plan: lan }));
    for (const part of [
      '0.0.0.0:18789',
      'OPENCLAW_GATEWAY_TOKEN',
      'gateway.auth.token',
      'OPENCLAW_GATEWAY_PASSWORD',
      'gateway.auth.password',
    ]) {
      expect(refusal?.message).toContain(part);
    }
    expect(refusal?.fix).toBe('openclaw config set gateway.auth.token -   (and paste there: fresh-token)');
  });
});

test.each([
  { token: 'changeme' },
  { token: 'your-token' },
  { token: UNRESOLVED },
  { token: 'undefined' },
  { token: 'short-but-random-9x' },
  { password: 'password' },
  { password: 'fourteen-chars' },
])('NET-15 %j guards nothing that another machine can reach', (secret) => {
  expect(codes({ plan: lan, ...secret })).toEqual(['AUTH_SECRET_WEAK']);
  expect(codes({ tailscaleMode: 'serve', ...secret })).toEqual(['AUTH_SECRET_WEAK']);
  expect(codes({ trustedProxies: ['127.0.0.1'], ...secret })).toEqual(['AUTH_SECRET_WEAK']);
  expect(codes({ hasPublicUrl: true, ...secret })).toEqual(['AUTH_SECRET_WEAK']);
  expect(codes(secret)).toEqual([]);
  const [refusal] = guardExposure(facts({ plan: lan, ...secret }));
  expect(refusal?.fix).toContain('fresh-');
  if (secret.token !== 'undefined') expect(JSON.stringify(refusal)).not.toContain(`"${secret.token ?? secret.password}`);
});

test('NET-16 Serve and Funnel keep the gateway on loopback; Funnel needs a password', () => {
  expect(codes({ tailscaleMode: 'serve' })).toEqual([]);
  expect(codes({ tailscaleMode: 'serve', authMode: 'none' })).toEqual(['AUTH_NONE_EXPOSED']);
  expect(codes({ tailscaleMode: 'serve', plan: lan, token: STRONG })).toEqual(['TAILSCALE_NEEDS_LOOPBACK']);
  expect(codes({ tailscaleMode: 'funnel', token: STRONG })).toEqual(['FUNNEL_NEEDS_PASSWORD']);
  expect(codes({ tailscaleMode: 'funnel', authMode: 'trusted-proxy', trustedProxies: ['127.0.0.1'] })).toEqual(['FUNNEL_NEEDS_PASSWORD']);
  expect(codes({ tailscaleMode: 'funnel', authMode: 'password' })).toEqual(['AUTH_PASSWORD_MISSING']);
  expect(codes({ tailscaleMode: 'funnel', authMode: 'password', password: STRONG })).toEqual([]);
  expect(codes({ tailscaleMode: 'funnel', password: STRONG })).toEqual([]);
});

test('NET-17 the mode must say what guards', () => {
  expect(codes({ token: STRONG, password: STRONG })).toEqual(['AUTH_MODE_AMBIGUOUS']);
  expect(codes({ token: STRONG, password: STRONG, authMode: 'token' })).toEqual([]);
  expect(codes({ authMode: 'password' })).toEqual(['AUTH_PASSWORD_MISSING']);
  expect(codes({ authMode: 'password', password: ' ' })).toEqual(['AUTH_PASSWORD_MISSING']);
  expect(codes({ token: STRONG, hooksToken: STRONG })).toEqual(['HOOKS_TOKEN_SHARED']);
});

test('NET-18 trusted-proxy needs proxies, on a loopback bind one of this machine; nobody may list everybody', () => {
  expect(codes({ authMode: 'trusted-proxy' })).toEqual(['TRUSTED_PROXY_MISSING']);
  expect(codes({ authMode: 'trusted-proxy', trustedProxies: ['10.0.0.1'] })).toEqual(['TRUSTED_PROXY_NOT_LOOPBACK']);
  for (const proxy of ['127.0.0.1', '::1', '127.0.0.0/8'])
    expect(codes({ authMode: 'trusted-proxy', trustedProxies: [proxy] })).toEqual([]);
  expect(codes({ authMode: 'trusted-proxy', plan: lan, trustedProxies: ['10.0.0.1'] })).toEqual([]);
  for (const proxy of ['proxy.local', '10.0.0.0/99', '0.0.0.0/0', '::/0', '127.1'])
    expect(codes({ token: STRONG, trustedProxies: [proxy] })).toEqual(['TRUSTED_PROXY_INVALID']);
});

test('NET-14 whatever the configuration, what starts and can be reached from elsewhere has a guard', () => {
  const secret = fc.constantFrom(undefined, '', ' ', 'changeme', UNRESOLVED, 'short', STRONG);
  fc.assert(
    fc.property(
      fc.record({
        plan: fc.constantFrom(loopback, lan, waiting),
        authMode: fc.constantFrom(undefined, 'none' as const, 'token' as const, 'password' as const, 'trusted-proxy' as const),
        token: secret,
        password: secret,
        hasGeneratedToken: fc.boolean(),
        tailscaleMode: fc.constantFrom('off' as const, 'serve' as const, 'funnel' as const),
        trustedProxies: fc.subarray(['127.0.0.1', '10.0.0.1', '0.0.0.0/0', 'x']),
      }),
      (changes) => {
        const given = facts(changes);
        if (guardExposure(given).length > 0) return;
        const isExposed = isReachableFromElsewhere(given.plan) || given.tailscaleMode !== 'off' || given.trustedProxies.length > 0;
        if (!isExposed) return;
        expect(given.authMode).not.toBe('none');
        const isGuardedByProxy = given.authMode === 'trusted-proxy' && given.trustedProxies.length > 0;
        const isGuardedByOwnToken = given.hasGeneratedToken && !isReachableFromElsewhere(given.plan);
        expect(isGuardedByProxy || isGuardedByOwnToken || given.token === STRONG || given.password === STRONG).toBe(true);
        if (given.tailscaleMode === 'funnel') expect(given.password).toBe(STRONG);
      },
    ),
    { numRuns: 2000 },
  );
});
