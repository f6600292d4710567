import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { ingressOf } from '../../auth/ingress.ts';
import { systemClock } from '../../lib/clock.ts';
import { parseCidr } from '../../net/addresses.ts';
import { originPolicy } from '../../net/origin-policy.ts';
import { ROUTES } from '../../protocol/routes.ts';
import { HeldBytes, heldPorts } from '../held-bytes.ts';
import { RequestsUnderWay } from './requests-under-way.ts';
import { SECURITY_HEADERS } from './security-headers.ts';
import { get, startHttp, TOKEN } from './testing.ts';

const bearer = { Authorization: `Bearer ${TOKEN}` };
const status = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
const HOST = (port: number): string => `Host: 127.0.0.1:${port}`;

test("AU-126: a run takes from its caller's lane of writes before its body is read, a question does not", async () => {
  const taken: string[] = [];
  const takeWrite = ({ id }: { readonly id: string }): number => (taken.push(id) > 1 ? 2_400 : 0);
  await using gateway = await startHttp({ ports: { takeWrite } });
  const ask = () =>
    fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: bearer,
      body: JSON.stringify({ model: 'openclaw', messages: [{ role: 'user', content: 'hi' }] }),
    });
  expect((await ask()).status).toBe(200);
  const refused = await ask();
  expect([refused.status, refused.headers.get('Retry-After')]).toEqual([429, '3']);
  expect(await refused.json()).toMatchObject({ error: { type: 'rate_limited', code: 'RATE_LIMITED' } });
  expect((await fetch(`${gateway.url}/v1/models`, { headers: bearer })).status).toBe(200);
  expect([taken.length, gateway.agent.sent.length]).toEqual([2, 1]);
});

describe('HT-1 every response', () => {
  test('HT-1 carries the security headers, names no server and allows no other origin', async () => {
    await using gateway = await startHttp();
    const { port } = gateway;
    const post = (path: string, more: string): string => `POST ${path} HTTP/1.1\r\n${HOST(port)}\r\n${more}\r\n\r\n`;
    const answers = await Promise.all([
      gateway.raw(get('/healthz', port)),
      gateway.raw(get('/', port)),
      gateway.raw(get('/nothing', port)),
      gateway.raw(get('/v1/models', port)),
      gateway.raw(get('/', port, 'Host: evil.example')),
      gateway.raw(get('/', port, 'Origin: https://evil.example')),
      gateway.raw(get(`/${'x'.repeat(9_000)}`, port)),
      gateway.raw(get('/', port, `X-Long: ${'y'.repeat(20_000)}`)),
      gateway.raw('nonsense\r\n\r\n'),
      gateway.raw(post('/healthz', 'Content-Length: 0\r\nConnection: close')),
      gateway.raw('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n'),
    ]);
    expect(answers.map(status)).toEqual([200, 200, 404, 401, 421, 403, 414, 431, 400, 405, 405]);
    for (const answer of answers) {
      const head = answer.split('\r\n\r\n', 1)[0] ?? '';
      for (const name of Object.keys(SECURITY_HEADERS)) expect(head.toLowerCase(), head).toContain(`${name.toLowerCase()}:`);
      expect(head).not.toMatch(/^(server|x-powered-by|access-control-[a-z-]+):/im);
      expect(answer).not.toMatch(/ at .*\.ts|node:internal/);
    }
  });

  test('HT-1 HSTS only where it is configured and TLS ends here', async () => {
    const config = { strictTransportSecurity: 'max-age=31536000' };
    await using plain = await startHttp({ config });
    expect((await fetch(`${plain.url}/healthz`)).headers.has('strict-transport-security')).toBe(false);
    await using tls = await startHttp({ config, listener: { kind: 'tcp', tls: true } });
    expect((await fetch(`${tls.url}/healthz`)).headers.get('strict-transport-security')).toBe('max-age=31536000');
  });
});

describe('HT-2 Host and Origin', () => {
  test('HT-2 an unknown Host is 421 and names the line that would admit it', async () => {
    await using gateway = await startHttp();
    const answer = await gateway.raw(get('/v1/models', gateway.port, 'Host: rebind.example:80', `Authorization: Bearer ${TOKEN}`));
    expect(status(answer)).toBe(421);
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as { error: { message: string } };
    expect(body.error.message).toContain('gateway.controlUi.allowedOrigins: ["http://rebind.example:80"]');
    expect(await gateway.raw(get('/', gateway.port, 'Host: rebind.example'))).toContain('allowedOrigins: ["http://rebind.example"]');
    // The door was not asked.
    expect(gateway.facts).toHaveLength(0);
  });

  test('HT-2 loopback names with any port are known: a tunnel has its own', async () => {
    await using gateway = await startHttp();
    for (const host of ['127.0.0.1:28789', 'localhost', '[::1]:9', 'LOCALHOST:1']) {
      expect(status(await gateway.raw(get('/healthz', gateway.port, `Host: ${host}`))), host).toBe(200);
    }
  });

  test('HT-3 a foreign Origin is 403, also null, also for what is public', async () => {
    await using gateway = await startHttp({ policy: { origins: originPolicy({ allowedOrigins: ['https://panel.example'] }) } });
    const withOrigin = async (origin: string): Promise<number> =>
      status(await gateway.raw(get('/healthz', gateway.port, `Origin: ${origin}`)));
    expect(await withOrigin('https://evil.example')).toBe(403);
    expect(await withOrigin('null')).toBe(403);
    expect(await withOrigin('http://127.0.0.1:1')).toBe(403);
    expect(await withOrigin('https://panel.example')).toBe(200);
    expect(await withOrigin(`http://127.0.0.1:${gateway.port}`)).toBe(200);
  });

  test.each([
    ['no Host (1.0)', 'GET /healthz HTTP/1.0\r\n\r\n'],
    ['no Host (1.1)', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['two Hosts', 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n'],
    ['userinfo in Host', 'GET /healthz HTTP/1.1\r\nHost: a@127.0.0.1\r\n\r\n'],
    ['a list in Host', 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1, evil.example\r\n\r\n'],
    ['a number as Host', 'GET /healthz HTTP/1.1\r\nHost: 2130706433\r\n\r\n'],
    ['two Origins', 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nOrigin: https://evil.example\r\n\r\n'],
    ['two Authorizations', 'GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n'],
    ['an absolute target', 'GET http://127.0.0.1/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'],
    ['a star', 'OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'],
    ['raw bytes in the target', Buffer.from('GET /h\xe9althz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 'latin1')],
  ])('HT-4 refused: %s', async (_name, request) => {
    await using gateway = await startHttp();
    expect(status(await gateway.raw(request))).toBe(400);
    expect(gateway.facts).toHaveLength(0);
  });
});

describe('HT-5 facts', () => {
  test('HT-5 a plain local request, and forwarding headers that nobody listed', async () => {
    await using gateway = await startHttp();
    await fetch(`${gateway.url}/v1/models`, { headers: bearer });
    await fetch(`${gateway.url}/v1/models`, { headers: { ...bearer, 'X-Forwarded-For': '203.0.113.9' } });
    const [local, forwarded] = gateway.facts;
    expect(local).toMatchObject({
      listener: 'tcp',
      peer: { address: '127.0.0.1' },
      hostIsLoopback: true,
      origin: 'absent',
      peerUid: { kind: 'own' },
    });
    expect(local && ingressOf(local).kind).toBe('local');
    expect(forwarded).toMatchObject({ forwarding: { present: true, names: ['x-forwarded-for'] }, peerIsTrustedProxy: false });
    expect(forwarded?.forwarding).not.toHaveProperty('client');
    expect(forwarded && ingressOf(forwarded).kind).toBe('remote');
  });

  test('HT-5 a listed proxy names the client; its user only with every required header', async () => {
    const loopback = parseCidr('127.0.0.1');
    await using gateway = await startHttp({
      policy: { trustedProxies: loopback ? [loopback] : [], proxyIdentity: { userHeader: 'X-User', requiredHeaders: ['X-Proof'] } },
    });
    const ask = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${gateway.url}/v1/models`, { headers: { ...bearer, ...headers } });
    await ask({ 'X-Forwarded-For': '203.0.113.9', 'X-User': 'ann' });
    await ask({ 'X-Forwarded-For': '203.0.113.9', 'X-User': 'ann', 'X-Proof': '1' });
    await ask({ 'X-Forwarded-For': '203.0.113.9', 'X-User': 'ann, bob', 'X-Proof': '1' });
    expect(gateway.facts.map((f) => [f.forwarding.client, f.forwarding.proxyUser])).toEqual([
      ['203.0.113.9', undefined],
      ['203.0.113.9', 'ann'],
      ['203.0.113.9', undefined],
    ]);
    expect(gateway.facts.map((f) => ingressOf(f).kind)).toEqual(['proxied', 'proxied', 'proxied']);
  });

  test('HT-5 Funnel is seen in whatever form, and only the serve listener carries a login', async () => {
    await using gateway = await startHttp({ listener: { kind: 'serve', tls: false } });
    await fetch(`${gateway.url}/v1/models`, {
      headers: { ...bearer, 'X-Forwarded-For': '100.64.0.9', 'Tailscale-User-Login': 'ann@example.com' },
    });
    await fetch(`${gateway.url}/v1/models`, { headers: { ...bearer, 'Tailscale-Funnel-Request': '' } });
    expect(gateway.facts[0]?.forwarding).toMatchObject({ client: '100.64.0.9', tailscaleLogin: 'ann@example.com', funnel: false });
    expect(gateway.facts[1]?.forwarding.funnel).toBe(true);
    expect(gateway.facts.map((f) => ingressOf(f).kind)).toEqual(['serve', 'public']);
  });

  test('HT-5 the peer is looked up once per connection', async () => {
    let lookups = 0;
    const read = async () => {
      lookups++;
      return { kind: 'uid', uid: 1001 } as const;
    };
    await using gateway = await startHttp({ ports: { peers: { read, ownUid: 1000 } } });
    const one = `GET /v1/models HTTP/1.1\r\n${HOST(gateway.port)}\r\nAuthorization: Bearer ${TOKEN}\r\n`;
    await gateway.raw(`${one}\r\n${one}\r\n${one}Connection: close\r\n\r\n`);
    expect(gateway.facts).toHaveLength(3);
    expect(gateway.facts[0]?.peerUid).toEqual({ kind: 'other', uid: 1001 });
    expect(lookups).toBe(1);
  });
});

describe('HT-6 methods and paths', () => {
  test('HT-6 a wrong method is 405 with Allow, on every route; OPTIONS too', async () => {
    await using gateway = await startHttp();
    for (const { path, methods } of ROUTES) {
      const target = path.replace('*', 'x');
      for (const method of ['OPTIONS', 'DELETE', 'TRACE', 'PUT']) {
        const answer = await gateway.raw(`${method} ${target} HTTP/1.1\r\n${HOST(gateway.port)}\r\nConnection: close\r\n\r\n`);
        expect(status(answer), `${method} ${target}`).toBe(405);
        expect(answer).toContain(`Allow: ${methods.join(', ')}`);
        expect(answer.endsWith('Method Not Allowed')).toBe(true);
      }
    }
  });

  test('HT-6 a caller of CONNECT who resets the connection ends that connection and nothing else', async () => {
    await using gateway = await startHttp();
    const closed = new Promise<void>((resolve) => {
      gateway.server.on('connect', (_request, socket) => {
        // Node has taken its own listener off; an error that nobody listens to would end the process.
        expect(socket.listenerCount('error')).toBeGreaterThan(0);
        socket.once('close', resolve);
        socket.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
      });
    });
    await gateway.raw('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n');
    await closed;
    expect(status(await gateway.raw(get('/healthz', gateway.port)))).toBe(200);
  });

  test('HT-6 HEAD has the headers of GET and no body', async () => {
    await using gateway = await startHttp();
    const answer = await gateway.raw(`HEAD /healthz HTTP/1.1\r\n${HOST(gateway.port)}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/Content-Length: 27\r\n/);
    expect(answer.endsWith('\r\n\r\n')).toBe(true);
  });

  test('HT-7 unknown paths and other spellings are 404 text', async () => {
    await using gateway = await startHttp();
    for (const path of [
      '/livez',
      '/tools/invoke',
      '/v1/responses',
      '/v1/embeddings',
      '/api/channels/x',
      '//healthz',
      '/healthz/',
      '/%68ealthz',
      '/../healthz',
    ]) {
      const answer = await gateway.raw(get(path, gateway.port));
      expect(status(answer), path).toBe(404);
      expect(answer).toMatch(/Not Found/);
    }
  });

  test('HT-7 chat completions are off unless they were turned on', async () => {
    const off = { enabled: false, maxBodyBytes: 1, maxImageParts: 1, maxTotalImageBytes: 1 };
    await using gateway = await startHttp({ config: { chatCompletions: off } });
    for (const path of ['/v1/models', '/v1/models/openclaw', '/v1/chat/completions']) {
      expect((await fetch(gateway.url + path, { headers: bearer })).status).toBe(404);
    }
  });

  test('HT-8 upgrades go to their own handler; other Upgrade headers are ignored', async () => {
    await using gateway = await startHttp();
    const ask = (upgrade: string): string =>
      get('/any/path', gateway.port, 'Connection: Upgrade', `Upgrade: ${upgrade}`).replace('Connection: close\r\n', '');
    expect(status(await gateway.raw(ask('WebSocket')))).toBe(101);
    expect(status(await gateway.raw(ask('h2c'), /Not Found/))).toBe(404);
    expect(gateway.upgrades).toBe(1);
  });
});

describe('HT-9 who may', () => {
  test('HT-9 no credential, a wrong one, one with too few scopes', async () => {
    await using gateway = await startHttp({ scopes: ['operator.read'] });
    const post = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, body: '{}' });
    const none = await post({});
    expect(none.status).toBe(401);
    expect(none.headers.get('www-authenticate')).toBe('Bearer realm="openclaw"');
    expect(await none.json()).toMatchObject({
      error: { type: 'unauthorized', message: expect.stringMatching(/^Unauthorized.*openclaw auth token --show/) },
    });
    expect((await post({ Authorization: 'Bearer wrong' })).status).toBe(401);
    expect((await post({ Authorization: `Basic ${TOKEN}` })).status).toBe(401);
    const scope = await post(bearer);
    expect(scope.status).toBe(403);
    expect(await scope.json()).toMatchObject({ error: { type: 'forbidden', message: 'missing scope: operator.write' } });
    expect((await fetch(`${gateway.url}/v1/models`, { headers: bearer })).status).toBe(200);
  });

  test('HT-9 a credential is taken as sent: spaces, commas and UTF-8 included', async () => {
    const seen: (string | undefined)[] = [];
    const via = { kind: 'local', address: 'x', key: 'x' } as const;
    const refused = {
      ok: false,
      via,
      error: { code: 'INVALID_REQUEST', message: 'no' },
      close: { code: 1008, reason: '' },
      http: { status: 401 },
    } as const;
    const admitHttp = async (_facts: unknown, presented: string | undefined) => {
      seen.push(presented);
      return refused;
    };
    await using gateway = await startHttp({ ports: { admitHttp } });
    for (const value of ['Bearer a b, c', 'bearer   x ', 'Bearer schlüssel', 'Bearer', 'Basic abc', `Bearer ${'x'.repeat(5_000)}`]) {
      await gateway.raw(Buffer.from(get('/v1/models', gateway.port, `Authorization: ${value}`)));
    }
    expect(seen).toEqual(['a b, c', 'x', 'schlüssel', undefined, undefined, undefined]);
  });

  test('HT-9 a lock is 429 with Retry-After', async () => {
    const via = { kind: 'local', address: 'x', key: 'x' } as const;
    const close = { code: 1008, reason: '' } as const;
    const admitHttp = async () =>
      ({
        ok: false,
        via,
        error: { code: 'UNAVAILABLE', message: 'too many tries' },
        close,
        http: { status: 429, retryAfterS: 17 },
      }) as const;
    await using gateway = await startHttp({ ports: { admitHttp } });
    const answer = await fetch(`${gateway.url}/v1/models`);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '17']);
    expect(await answer.json()).toMatchObject({ error: { type: 'rate_limited' } });
  });

  test('HT-10 the credential is looked at before the body: a stranger gets an answer while its body is still missing', async () => {
    await using gateway = await startHttp();
    const head = `POST /v1/chat/completions HTTP/1.1\r\n${HOST(gateway.port)}\r\nContent-Length: 1000\r\n\r\n`;
    expect(status(await gateway.raw(head, /unauthorized/))).toBe(401);
  });
});

describe('HT-11 sizes', () => {
  const post = (port: number, more: string): string =>
    `POST /v1/chat/completions HTTP/1.1\r\n${HOST(port)}\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\n${more}\r\n\r\n`;

  test('HT-11 100 MB announced: 413 before a byte of it is read, and the connection ends', async () => {
    await using gateway = await startHttp({ ports: { limits: { lingerMs: 50 } } });
    const socket = connect(gateway.port, '127.0.0.1');
    const answer = new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      socket.on('close', () => resolve(text));
      socket.on('error', () => {});
    });
    socket.write(post(gateway.port, `Content-Length: ${100 * 1024 * 1024}`));
    // As a client that does not wait: it pushes all it can.
    const block = Buffer.alloc(1024 * 1024, 0x20);
    let pushed = 0;
    const push = (): void => {
      while (pushed < 100 && !socket.destroyed) {
        pushed++;
        if (!socket.write(block)) return void socket.once('drain', push);
      }
    };
    push();
    const text = await answer;
    expect(status(text)).toBe(413);
    expect(text).toContain('Connection: close');
    expect(text).toContain('"code":"payload_too_large"');
    expect(socket.bytesWritten).toBeLessThan(30 * 1024 * 1024);
  });

  test('HT-11 a chunked body is cut at the limit', async () => {
    const chatCompletions = { enabled: true, maxBodyBytes: 1000, maxImageParts: 1, maxTotalImageBytes: 1 };
    await using gateway = await startHttp({ config: { chatCompletions }, ports: { limits: { lingerMs: 20 } } });
    const chunk = `3e8\r\n${' '.repeat(1000)}\r\n`;
    const answer = await gateway.raw(`${post(gateway.port, 'Transfer-Encoding: chunked')}${chunk}${chunk}`);
    expect(status(answer)).toBe(413);
    expect(answer).toContain('at most 1000 bytes');
  });

  test('HT-11 who asks before sending (Expect: 100-continue) is told no before, or yes', async () => {
    await using gateway = await startHttp();
    const ask = (length: number): string => post(gateway.port, `Content-Length: ${length}\r\nExpect: 100-continue`);
    const refused = await gateway.raw(ask(100 * 1024 * 1024), /payload_too_large/);
    expect(refused).toMatch(/^HTTP\/1\.1 413/);
    expect(await gateway.raw(ask(10), /100 Continue/)).toMatch(/^HTTP\/1\.1 100 Continue/);
    const stranger = ask(10).replace(TOKEN, 'wrong');
    expect(await gateway.raw(stranger, /unauthorized/)).toMatch(/^HTTP\/1\.1 401/);
  });

  test('HT-11 a GET with a body is refused', async () => {
    await using gateway = await startHttp({ ports: { limits: { lingerMs: 20 } } });
    expect(
      status(await gateway.raw(`${get('/healthz', gateway.port, 'Content-Length: 5').replace('Connection: close\r\n', '')}abcde`)),
    ).toBe(413);
  });
});

describe('HT-12 time', () => {
  const limits = { headerMs: 150, sweepMs: 20, bodyMs: 100, lingerMs: 20 };

  test('HT-12 a head that does not come, or comes by the byte, is 408', async () => {
    await using gateway = await startHttp({ ports: { limits } });
    expect(status(await gateway.raw('GET /healthz HTTP/1.1\r\nHost: 127.'))).toBe(408);
    const socket = connect(gateway.port, '127.0.0.1');
    const closed = new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('close', () => resolve(text));
      socket.on('error', () => {});
    });
    socket.write('GET /healthz HTTP/1.1\r\nX-Slow: ');
    const drip = setInterval(() => socket.write('X'), 20);
    expect(status(await closed)).toBe(408);
    clearInterval(drip);
  });

  test('HT-12 a connection that says nothing is closed', async () => {
    await using gateway = await startHttp({ ports: { limits } });
    expect(await gateway.raw('')).toMatch(/^(HTTP\/1\.1 408|$)/);
  });

  test('HT-12 half a body is 408', async () => {
    await using gateway = await startHttp({ ports: { limits } });
    const head = `POST /v1/chat/completions HTTP/1.1\r\n${HOST(gateway.port)}\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 100\r\n\r\n{"mess`;
    expect(status(await gateway.raw(head))).toBe(408);
  });

  test('HT-12 too many silent connections: the oldest goes', async () => {
    await using gateway = await startHttp({ ports: { limits: { silent: 3 } } });
    const open = (): Promise<{ closed: Promise<void>; end: () => void }> =>
      new Promise((resolve) => {
        const socket = connect(gateway.port, '127.0.0.1', () => {
          const closed = new Promise<void>((done) => socket.on('close', () => done()));
          resolve({ closed, end: () => socket.destroy() });
        });
        socket.on('error', () => {});
      });
    const sockets = [await open(), await open(), await open(), await open()];
    await sockets[0]?.closed;
    // Somebody who speaks is not silent, and is answered.
    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
    for (const socket of sockets) socket.end();
  });
});

describe('HT-75 HT-76 what connections make us keep', () => {
  const post = (length: number): string =>
    `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

  test('HT-75 a body for which there is no room is 503, and asks to come again', async () => {
    const clock = systemClock;
    const held = { ...heldPorts(clock), incoming: new HeldBytes('incoming', 100_000, clock) };
    await using gateway = await startHttp({ ports: { held, limits: { lingerMs: 20 } } });
    const answer = await gateway.raw(`${post(1_000_000)}${'x'.repeat(200_000)}`);
    expect(status(answer)).toBe(503);
    expect(answer).toMatch(/retry-after: 5/i);
    expect(answer).toContain('"code":"overloaded"');
    expect(held.incoming.total).toBe(0);
    const small = JSON.stringify({ messages: [{ role: 'user', content: 'hello' }] });
    expect(status(await gateway.raw(post(small.length).replace('Host', 'Connection: close\r\nHost') + small))).toBe(200);
  });

  test('HT-76 an answer that nobody takes ends its connection', async () => {
    await using gateway = await startHttp({ ports: { limits: { stalledMs: 200 } } });
    const text = 'y'.repeat(40_000_000);
    gateway.agent.script = (_request, run) => {
      run.text = text;
      run.ok();
    };
    const socket = connect(gateway.port, '127.0.0.1');
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    socket.on('error', () => {});
    socket.pause();
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hello' }] });
    socket.write(post(body.length) + body);
    const open = (): Promise<number> => new Promise((resolve) => gateway.server.getConnections((_error, count) => resolve(count)));
    await until(async () => (await open()) === 1);
    await until(async () => (await open()) === 0);
    socket.resume();
    await closed;
  });

  test('HT-76 ten thousand pipelined requests are answered in order, and few of them wait at a time', async () => {
    await using gateway = await startHttp();
    const one = 'HEAD /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    const answer = await gateway.raw(`${one.repeat(9_999)}${one.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')}`);
    expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(10_000);
  });

  test('HT-76 as are those whose answers together fill the connection, upon which Node pauses it in the middle of a piece', async () => {
    await using gateway = await startHttp();
    for (const [count, padding] of [
      [50, 0],
      [50, 80],
      [300, 80],
      [100, 400],
      [400, 40],
    ] as const) {
      const one = `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Padding: ${'x'.repeat(padding)}\r\n\r\n`;
      const answer = await gateway.raw(`${one.repeat(count - 1)}${one.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')}`);
      expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(count);
    }
  });
});

describe('HT-13 two readings of one request', () => {
  test.each([
    ['Content-Length and chunked', 'Content-Length: 4\r\nTransfer-Encoding: chunked'],
    ['two lengths', 'Content-Length: 4\r\nContent-Length: 5'],
    ['a length that is none', 'Content-Length: +4'],
    ['an unknown coding', 'Transfer-Encoding: chunked, identity'],
    ['a folded header', 'X-A: b\r\n c: d\r\nContent-Length: 4'],
    ['a space before the colon', 'Transfer-Encoding : chunked'],
  ])('HT-13 %s is refused, and what follows is not read as a request', async (_name, headers) => {
    await using gateway = await startHttp();
    const smuggled = `GET /v1/models HTTP/1.1\r\n${HOST(gateway.port)}\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;
    const answer = await gateway.raw(
      `POST /v1/chat/completions HTTP/1.1\r\n${HOST(gateway.port)}\r\n${headers}\r\n\r\n0\r\n\r\n${smuggled}`,
    );
    expect(status(answer)).toBe(400);
    expect(gateway.facts).toHaveLength(0);
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
});

describe('HT-14 what goes wrong inside', () => {
  test('HT-14 a bug is 500 without a word about it', async () => {
    const config = (): never => {
      throw new Error('the secret of the house');
    };
    await using gateway = await startHttp({ ports: { config } });
    const answer = await fetch(`${gateway.url}/healthz`);
    expect(answer.status).toBe(500);
    expect(await answer.text()).toBe('internal error');
  });
});

describe('HT-15 probes', () => {
  test('HT-15 live', async () => {
    await using gateway = await startHttp();
    for (const path of ['/health', '/healthz'])
      expect(await (await fetch(gateway.url + path)).json()).toEqual({ ok: true, status: 'live' });
  });

  test('HT-16 ready says what fails to this machine and to a credential, not to others', async () => {
    const readiness = { started: true, view: async () => ({ ready: false, failing: ['store'], checkedAt: 1 }) };
    await using gateway = await startHttp({ ports: { readiness } });
    const ask = async (headers: Record<string, string>): Promise<unknown> => {
      const answer = await fetch(`${gateway.url}/readyz`, { headers });
      return [answer.status, await answer.json()];
    };
    expect(await ask({})).toEqual([503, { ready: false, failing: ['store'], uptimeMs: 7 }]);
    expect(await ask({ 'X-Forwarded-For': '1.2.3.4' })).toEqual([503, { ready: false }]);
    expect(await ask({ 'X-Forwarded-For': '1.2.3.4', Authorization: 'Bearer wrong' })).toEqual([503, { ready: false }]);
    expect(await ask({ 'X-Forwarded-For': '1.2.3.4', ...bearer })).toEqual([503, { ready: false, failing: ['store'], uptimeMs: 7 }]);
  });

  test('HT-17 startup', async () => {
    await using gateway = await startHttp();
    expect(await (await fetch(`${gateway.url}/startupz`)).json()).toEqual({ ok: true, status: 'started', version: '1.2.3', uptimeMs: 7 });
    const readiness = { started: false, view: async () => ({ ready: false, failing: ['starting'], checkedAt: undefined }) };
    await using starting = await startHttp({ ports: { readiness } });
    expect((await fetch(`${starting.url}/startup`)).status).toBe(503);
  });
});

describe('HT-20 what is revoked', () => {
  test('HT-20 a request that was let in ends when its credential falls, also one that fell while the door was looking', async () => {
    const underWay = new RequestsUnderWay();
    await using gateway = await startHttp({ ports: { underWay } });
    gateway.agent.script = (_request, run) => run.say('hello');
    const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'hi' }] });
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers: bearer, body });
    expect(answer.status).toBe(200);
    expect(underWay.size).toBe(1);
    underWay.cutWhere(({ id }) => id === 'somebody else');
    expect(underWay.size).toBe(1);
    underWay.cutWhere(({ id }) => id === 'secret:test');
    await expect(answer.text()).rejects.toThrow();
    expect(underWay.size).toBe(0);

    await using fallen = await startHttp({ ports: { stillStands: () => false } });
    await expect(fetch(`${fallen.url}/v1/models`, { headers: bearer })).rejects.toThrow();
  });
});

describe('HT-18 pages and their small files', () => {
  test('HT-18 the landing page: two languages, no script, nothing the policy would block', async () => {
    await using gateway = await startHttp({ config: { basePath: '/claw' } });
    for (const path of ['/', '/claw', '/claw/']) {
      const answer = await fetch(gateway.url + path);
      expect(answer.status).toBe(200);
      const html = await answer.text();
      const csp = answer.headers.get('content-security-policy') ?? '';
      const style = /<style>([\s\S]*?)<\/style>/.exec(html)?.[1] ?? '';
      const hash = Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))).toString('base64');
      expect(csp).toContain(`style-src 'sha256-${hash}'`);
      expect(csp).toContain("default-src 'none'");
      expect(html).not.toMatch(/<script|\son[a-z]+=|style=|https?:\/\/(?!127)/);
      expect(html).toContain('lang="zh-CN"');
      expect(html).toContain(`ssh -N -L ${gateway.port}:127.0.0.1:${gateway.port}`);
      expect(html).toContain('prefers-color-scheme:dark');
    }
  });

  test('HT-19 what panels of both lines read first', async () => {
    await using gateway = await startHttp({ config: { basePath: '/claw' } });
    const old = await fetch(`${gateway.url}/__openclaw/control-ui-config.json`);
    expect(await old.json()).toEqual({
      basePath: '/claw',
      assistantName: 'Claw',
      assistantAvatar: '🦞',
      assistantAgentId: 'main',
      serverVersion: '1.2.3',
    });
    const stranger = await fetch(`${gateway.url}/claw/__openclaw/control-ui-config.json`, { headers: { 'X-Forwarded-For': '1.2.3.4' } });
    expect(await stranger.json()).not.toHaveProperty('serverVersion');
    expect((await fetch(`${gateway.url}/control-ui-config.json`)).status).toBe(401);
    const own = await fetch(`${gateway.url}/control-ui-config.json`, { headers: bearer });
    expect(await own.json()).toMatchObject({ serverVersion: '1.2.3', serverBuildId: 'b', terminalEnabled: false, pluginFrameGrants: [] });
    expect(await (await fetch(`${gateway.url}/avatar/main?meta=1`)).json()).toEqual({ avatarUrl: null });
    expect((await fetch(`${gateway.url}/avatar/main`)).status).toBe(404);
  });
});
