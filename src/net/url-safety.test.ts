import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPrivate, parseIp } from './addresses.ts';
import { checkTarget, type TargetRules } from './url-safety.ts';

const rules = (changes: Partial<TargetRules> = {}): TargetRules => ({
  allowInsecurePrivate: false,
  ownAddresses: () => ['192.168.1.5', 'fd00::5'],
  ...changes,
});
const verdict = (url: string, changes?: Partial<TargetRules>): string => {
  const result = checkTarget(url, rules(changes));
  return result.ok ? result.value.allowedAs : result.error.code;
};

test.each([
  ['wss://anything.example', 'wss://anything.example:443/', 'tls'],
  ['https://Claw.Example:8443/base?x=1', 'wss://claw.example:8443/base?x=1', 'tls'],
  ['ws://localhost:18789', 'ws://localhost:18789/', 'loopback'],
  ['http://127.0.0.1:18789/', 'ws://127.0.0.1:18789/', 'loopback'],
  ['ws://127.9.9.9', 'ws://127.9.9.9:80/', 'loopback'],
  ['WS://[::1]:1', 'ws://[::1]:1/', 'loopback'],
  ['ws://[::ffff:127.0.0.1]:1', 'ws://127.0.0.1:1/', 'loopback'],
  ['ws://192.168.1.5:18789', 'ws://192.168.1.5:18789/', 'own-address'],
  ['ws://[fd00::5]:18789', 'ws://[fd00::5]:18789/', 'own-address'],
])('NET-19 %s is dialled as %s (%s)', (text, url, allowedAs) => {
  expect(checkTarget(text, rules())).toMatchObject({ ok: true, value: { url, allowedAs } });
});

test.each([
  'ws://192.168.1.6:18789',
  'ws://claw.local',
  'ws://claw.tail1.ts.net',
  'ws://evil.localhost',
  'ws://8.8.8.8',
  'ws://0.0.0.0:18789',
  'http://example.com',
  'ws://[fd00::6]',
  'ws://100.64.0.1',
])('NET-19 %s is refused without TLS', (url) => expect(verdict(url)).toBe('SECURITY_PLAINTEXT'));

describe('NET-20 the break-glass variable', () => {
  const open = { allowInsecurePrivate: true };
  test.each([
    'ws://10.1.2.3',
    'ws://172.16.0.1',
    'ws://192.168.1.6',
    'ws://100.64.0.1',
    'ws://169.254.1.1',
    'ws://[fe80::1]',
    'ws://[fd00::6]',
  ])('covers %s', (url) => expect(verdict(url, open)).toBe('insecure-private'));
  test.each(['ws://8.8.8.8', 'ws://claw.local', 'ws://claw.ts.net', 'ws://[2a00:1450:4001::1]', 'ws://[64:ff9b::a00:1]', 'ws://0.0.0.0'])(
    'does not cover %s',
    (url) => expect(verdict(url, open)).toBe('SECURITY_PLAINTEXT'),
  );
});

test.each([
  'ws://127.1:18789',
  'ws://0x7f.1',
  'ws://2130706433',
  'ws://127.0.0.1\\@evil.example',
  'ws://127.0.0.1@evil.example',
  'ws://user:pass@127.0.0.1',
  'ws://127.0.0.1/#token=abc',
  'ws://127.0.0.1/?token=abc',
  'wss://claw.example/?a=1&Access_Token=abc',
  'wss://claw.example/?%74oken=abc',
  'ftp://127.0.0.1',
  'javascript:alert(1)',
  'file:///etc/passwd',
  '127.0.0.1:18789',
  'ws://',
  'ws:///x',
  'ws://127.0.0.1:0',
  'ws://127.0.0.1:99999',
  ' ws://127.0.0.1',
  'ws://127.0.\n0.1',
  'ws://１27.0.0.1',
  'wss://ex%61mple.com',
])('NET-21 %j is no gateway URL', (url) => expect(verdict(url)).toBe('URL_INVALID'));

test('NET-21 a secret pasted into a URL is not repeated', () => {
  for (const url of ['ws://u:hunter2secret@h', 'ws://h/#token=hunter2secret', 'wss://h/?token=hunter2secret', 'hunter2secret']) {
    const result = checkTarget(url, rules());
    expect(result.ok).toBe(false);
    expect(JSON.stringify(result) + (result.ok ? '' : result.error.message)).not.toContain('hunter2secret');
  }
});

test('NET-19 the refusal names the danger and every safe way', () => {
  const text = (changes?: Partial<TargetRules>): string => {
    const result = checkTarget('ws://vps.example:18790', rules(changes));
    return result.ok ? '' : result.error.message;
  };
  expect(text()).toMatch(/^SECURITY ERROR:/);
  for (const part of [
    'ws://vps.example:18790',
    'credentials and chat',
    'wss://',
    'ssh -N -L 18789:127.0.0.1:18790 user@vps.example',
    'Tailscale',
    'serve',
    'Funnel',
    'openclaw status --deep',
  ]) {
    expect(text()).toContain(part);
  }
  expect(text()).toContain('OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1');
  expect(text({ allowInsecurePrivate: true })).not.toContain('OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1');
});

test('NET-19 the addresses of this host are asked only when they matter', () => {
  const ownAddresses = (): never => {
    throw new Error('asked');
  };
  expect(verdict('ws://127.0.0.1:18789', { ownAddresses })).toBe('loopback');
  expect(verdict('wss://claw.example', { ownAddresses })).toBe('tls');
});

test('NET-19 plain ws never leaves for a public address or a name, whatever the spelling', () => {
  const piece = fc.constantFrom(
    'ws',
    'http',
    '://',
    '127.0.0.1',
    'localhost',
    '8.8.8.8',
    '10.0.0.1',
    '@',
    ':',
    '80',
    '/',
    '\\',
    '?',
    '#',
    '[',
    ']',
    '::1',
    '.',
    'a',
    '%31',
    '0x7f',
    '\t',
  );
  const url = fc.oneof(
    fc.webUrl(),
    fc.array(piece, { maxLength: 10 }).map((a) => a.join('')),
    fc.tuple(fc.constantFrom('ws://', 'http://'), fc.ipV4Extended()).map((a) => a.join('')),
  );
  fc.assert(
    fc.property(url, fc.boolean(), (text, allowInsecurePrivate) => {
      const result = checkTarget(text, rules({ allowInsecurePrivate }));
      if (!result.ok || result.value.isSecure) return;
      const { hostname } = new URL(result.value.url);
      const ip = parseIp(hostname.replace(/^\[|\]$/g, ''));
      const isFine =
        hostname === 'localhost' ||
        hostname.startsWith('127.') ||
        hostname === '[::1]' ||
        hostname === '192.168.1.5' ||
        (allowInsecurePrivate && ip !== undefined && isPrivate(ip));
      expect(isFine, hostname).toBe(true);
    }),
    { numRuns: 3000 },
  );
});
