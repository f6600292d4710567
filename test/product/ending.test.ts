import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

/** A caller that sends `text` and then nothing more, ever. */
async function mute({ port }: TestGateway, text: string): Promise<{ socket: Socket; closed: Promise<unknown> }> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  socket.write(text);
  return { socket, closed: once(socket, 'close') };
}

const KINDS = ['', 'GET / HTTP/1.1\r\nHost: a', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'];

describe('the end', () => {
  test('WS-16 callers that never finish a request keep no gateway from ending', async () => {
    await using gateway = await startTestGateway();
    const callers = await Promise.all(KINDS.map((text) => mute(gateway, text)));
    // Answered, so that those before it were taken too.
    expect((await fetch(`${gateway.httpUrl}/healthz`)).status).toBe(200);
    const began = performance.now();
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(5_000);
    await Promise.all(callers.map(({ closed }) => closed));
  });

  test('WS-16 nor stay in a gateway that has restarted', async () => {
    await using gateway = await startTestGateway({ flags: ['--port', '0'] });
    const callers = await Promise.all(KINDS.map((text) => mute(gateway, text)));
    expect((await fetch(`${gateway.httpUrl}/healthz`)).status).toBe(200);
    gateway.child.kill('SIGUSR1');
    await Promise.all(callers.map(({ closed }) => closed));
    await until(() => gateway.output().split('listening on ws://127.0.0.1:').length === 3);
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
  });

  test('WS-30 without anybody who reads its output it goes on, and ends in order', async () => {
    await using gateway = await startTestGateway({
      flags: ['--verbose'],
      config: '{ gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } } }',
    });
    gateway.child.stdout?.destroy();
    gateway.child.stderr?.destroy();
    for (let i = 0; i < 3; i++) {
      // Refused calls are told on stderr.
      expect((await fetch(`${gateway.httpUrl}/v1/models`, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
    }
    expect((await fetch(`${gateway.httpUrl}/readyz`)).status).toBe(200);
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
  });
});

test('WS-31 a config that asks for a port which somebody holds restarts nothing; what guards counts all the same', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const held = (holder.address() as AddressInfo).port;
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, 'close');
  const config = (at: number, token: string): string =>
    JSON.stringify({ gateway: { port: at, auth: { token }, http: { endpoints: { chatCompletions: { enabled: true } } } } });
  const [first, second] = ['a-token-that-is-long-enough-1', 'a-token-that-is-long-enough-2'];
  await using gateway = await startTestGateway({ config: config(port, first), portOfConfig: true });
  const models = async (token: string): Promise<number> =>
    (await fetch(`${gateway.httpUrl}/v1/models`, { headers: { authorization: `Bearer ${token}` } })).status;
  expect(await models(first)).toBe(200);
  writeFileSync(join(gateway.stateDir, 'openclaw.json'), config(held, second));
  await until(() => gateway.output().includes('not restarted'));
  expect(await models(second)).toBe(200);
  expect(gateway.output().split('listening on ws://127.0.0.1:')).toHaveLength(2);
  expect(await gateway.stop()).toEqual({ code: 0, signal: null });
  holder.close();
});
