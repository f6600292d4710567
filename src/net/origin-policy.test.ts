import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeOrigin, type OriginRequest, originPolicy } from './origin-policy.ts';

const policy = originPolicy({
  magicDnsName: 'claw.tail1234.ts.net.',
  publicUrl: 'https://Public.Example/base/',
  allowedOrigins: ['https://panel.example:8443', 'http://localhost:5173/'],
  certNames: ['cert.example', '*.wild.example', '203.0.113.7', 'fd00::7'],
});
const judge = (request: Partial<OriginRequest>): ReturnType<typeof judgeOrigin> =>
  judgeOrigin({ host: undefined, origin: undefined, localAddress: '127.0.0.1', ...request }, policy);

describe('NET-5 known Hosts', () => {
  test.each([
    ['127.0.0.1:18789'],
    ['localhost:28789'],
    ['[::1]:1'],
    ['127.0.0.2'],
    ['claw.tail1234.ts.net'],
    ['CLAW.tail1234.ts.net.:8443'],
    ['public.example'],
    ['panel.example'],
    ['cert.example:18789'],
    ['203.0.113.7'],
    ['[fd00::7]:18789'],
  ])('%s', (host) => expect(judge({ host })).toMatchObject({ host: 'known', origin: 'absent', fixLine: undefined }));

  test.each([
    ['evil.example', '127.0.0.1'],
    ['evil.example:18789', '127.0.0.1'],
    ['localhost.evil.example', '127.0.0.1'],
    ['x.wild.example', '127.0.0.1'],
    ['192.168.1.5', '192.168.1.6'],
    ['0.0.0.0', '127.0.0.1'],
    ['evil.localhost', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['127.0.0.1, evil', '127.0.0.1'],
    [undefined, '127.0.0.1'],
  ])('%s at %s is unknown', (host, localAddress) => expect(judge({ host, localAddress }).host).toBe('unknown'));

  test('an address literal is known where it is the socket’s own, mapped or not', () => {
    expect(judge({ host: '192.168.1.5:18789', localAddress: '::ffff:192.168.1.5' }).host).toBe('known');
    expect(judge({ host: '[fd7a:115c:a1e0:0::1]', localAddress: 'fd7a:115c:a1e0::1' }).host).toBe('known');
  });

  test('the refusal names the config line to add, in characters that need no escaping', () => {
    expect(judge({ host: 'Claw.Lan:18789' }).fixLine).toBe('gateway.controlUi.allowedOrigins: ["http://claw.lan:18789"]');
    expect(judge({ host: 'claw.lan', secure: true }).fixLine).toBe('gateway.controlUi.allowedOrigins: ["https://claw.lan"]');
    expect(judge({ host: '"><script>' }).fixLine).toBeUndefined();
  });
});

describe('NET-6 Origins', () => {
  test.each([
    ['127.0.0.1:18789', 'http://127.0.0.1:18789', 'pass'],
    ['127.0.0.1:18789', 'http://localhost:18789', 'foreign'],
    ['127.0.0.1:18789', 'http://127.0.0.1:3000', 'foreign'],
    ['127.0.0.1:18789', 'http://localhost:5173', 'pass'],
    ['127.0.0.1:18789', 'https://panel.example:8443', 'pass'],
    ['127.0.0.1:18789', 'https://panel.example', 'foreign'],
    ['127.0.0.1:18789', 'http://panel.example:8443', 'foreign'],
    ['127.0.0.1:18789', 'https://public.example', 'pass'],
    ['127.0.0.1:18789', 'https://evil.example', 'foreign'],
    ['127.0.0.1:18789', 'null', 'invalid'],
    ['127.0.0.1:18789', '', 'invalid'],
    ['127.0.0.1:18789', 'http://127.0.0.1:18789/', 'invalid'],
    ['127.0.0.1:18789', 'chrome-extension://127.0.0.1:18789', 'foreign'],
    ['127.0.0.1', 'http://127.0.0.1', 'pass'],
    ['127.0.0.1', 'http://127.0.0.1:18789', 'foreign'],
    ['claw.tail1234.ts.net', 'https://claw.tail1234.ts.net', 'pass'],
    ['claw.tail1234.ts.net:8443', 'https://claw.tail1234.ts.net:8443', 'pass'],
    ['evil.example:18789', 'http://evil.example:18789', 'foreign'],
  ] as const)('Host %s, Origin %s: %s', (host, origin, expected) => expect(judge({ host, origin }).origin).toBe(expected));

  test('over TLS the http: page of the same name is foreign', () => {
    const host = 'claw.tail1234.ts.net';
    expect(judge({ host, origin: `http://${host}`, secure: true }).origin).toBe('foreign');
    expect(judge({ host, origin: `https://${host}`, secure: true }).origin).toBe('pass');
  });

  test('X-Forwarded-Host counts on the Serve listener alone', () => {
    const name = 'claw.tail1234.ts.net';
    const request = { host: 'localhost', xForwardedHost: name, origin: `https://${name}` };
    expect(judge({ ...request, isServeListener: true, secure: true })).toMatchObject({ host: 'known', origin: 'pass' });
    expect(judge(request)).toMatchObject({ host: 'known', origin: 'foreign' });
    expect(judge({ ...request, isServeListener: true, xForwardedHost: `${name}, evil.example` }).host).toBe('unknown');
    expect(
      judge({ host: 'localhost', isServeListener: true, xForwardedHost: 'evil.example', origin: 'https://evil.example' }),
    ).toMatchObject({
      host: 'unknown',
      origin: 'foreign',
    });
  });

  test('a wildcard opens nothing and warns with what to write', () => {
    const open = originPolicy({ allowedOrigins: ['*', 'https://*.example.com', 'claw.example'] });
    expect(open.warnings.map(({ value }) => value)).toEqual(['*', 'https://*.example.com', 'claw.example']);
    expect(open.warnings[0]?.message).toContain('https://claw.example.com');
    const request = { host: '127.0.0.1:18789', localAddress: '127.0.0.1', origin: 'https://evil.example' };
    expect(judgeOrigin(request, open).origin).toBe('foreign');
    expect(judgeOrigin({ ...request, origin: 'http://127.0.0.1:18789' }, open).origin).toBe('pass');
  });

  test('a page under any name that is not listed never passes, however the request is addressed (DNS rebinding)', () => {
    const odd = fc.constantFrom('localhost', '127.0.0.1', '[::1]', 'claw.tail1234.ts.net', '192.168.1.5', '127.1', '');
    const name = fc.oneof(fc.domain(), odd, fc.ipV4(), fc.string());
    const port = fc.constantFrom('', ':18789', ':443', ':80', ':');
    fc.assert(
      fc.property(
        fc.domain(),
        port,
        name,
        port,
        fc.constantFrom('http', 'https', 'ws', 'x'),
        fc.boolean(),
        fc.option(name),
        (page, p1, host, p2, scheme, secure, xfh) => {
          const verdict = judge({ host: host + p2, origin: `${scheme}://evil-${page}${p1}`, secure, xForwardedHost: xfh ?? undefined });
          expect(verdict.origin).not.toBe('pass');
          expect(verdict.origin).not.toBe('absent');
          const rebound = judge({ host: `evil-${page}${p1}`, origin: `http://evil-${page}${p1}`, secure });
          expect(rebound.host).toBe('unknown');
          expect(rebound.origin).not.toBe('pass');
        },
      ),
      { numRuns: 1000 },
    );
  });
});
