import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Socket, connect as tcp } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { connect, newDevice, type TestDevice } from '../support/wire.ts';
import { expectWithinBounds, startWatchedGateway, type WatchedGateway } from './support/attack.ts';

/** Honest ones that come at once, and one honest one beside a flood of silent sockets. */

const children: ChildProcess[] = [];
const sockets: Socket[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** Devices that were here before. */
async function paired(gateway: WatchedGateway, count: number): Promise<{ device: TestDevice; token: string }[]> {
  const made: { device: TestDevice; token: string }[] = [];
  let left = count;
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const device = newDevice();
      await using client = await connect(gateway.url, { auth: { token: gateway.token() }, scopes: ['operator.read'], device });
      made.push({ device, token: client.hello.auth.deviceToken });
    }
  };
  await Promise.all(Array.from({ length: 20 }, one));
  return made;
}

interface Crowd {
  readonly in: number;
  readonly lastMs: number;
  readonly why: readonly string[];
}

/** All of them in the same moment, from another process. They stay until the test is over. */
async function allAtOnce(gateway: WatchedGateway, people: readonly object[]): Promise<Crowd> {
  const script = join(import.meta.dirname, 'support', 'crowd.mjs');
  const child = spawn(process.execPath, [script, gateway.url], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  child.stdin.write(`${JSON.stringify(people)}\n`);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await until(() => said.endsWith('\n'), 90_000);
  const crowd = JSON.parse(said) as Crowd;
  console.log(`hostile |   ${crowd.in} in, the last after ${Math.round(crowd.lastMs)} ms`, ...crowd.why);
  return crowd;
}

test('WS-4 WS-82 sixteen hundred devices of one address that return at once are all in', { timeout: 300_000 }, async () => {
  await using gateway = await startWatchedGateway();
  const people = (await paired(gateway, 1_600)).map(({ device, token }) => ({
    auth: { deviceToken: token },
    scopes: ['operator.read'],
    device: { ...device, privateKeyPem: device.privateKey.export({ format: 'pem', type: 'pkcs8' }) },
  }));
  let crowd: Crowd | undefined;
  const figures = await gateway.under('1,600 devices at once', async () => {
    crowd = await allAtOnce(gateway, people);
  });
  expect(crowd?.in).toBe(1_600);
  expect(crowd?.lastMs).toBeLessThan(15_000);
  expectWithinBounds(figures);
});

test('WS-4 WS-82 five thousand clients of one address that return at once are all in', { timeout: 300_000 }, async () => {
  await using gateway = await startWatchedGateway();
  const auth = { token: gateway.token() };
  const people = Array.from({ length: 5_000 }, (_, i) => ({ auth, scopes: ['operator.read'], instanceId: `crowd-${i}` }));
  let crowd: Crowd | undefined;
  const figures = await gateway.under('5,000 clients at once', async () => {
    crowd = await allAtOnce(gateway, people);
  });
  expect(crowd?.in).toBe(5_000);
  expect(crowd?.lastMs).toBeLessThan(15_000);
  expectWithinBounds(figures);
});

const UPGRADE =
  'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';

test('WS-4 floods of silent sockets do not keep the owner out', { timeout: 300_000 }, async () => {
  await using gateway = await startWatchedGateway();
  const auth = { token: gateway.token() };
  const knock = async (): Promise<number[]> => {
    const took: number[] = [];
    for (let i = 0; i < 100; i++) {
      const began = performance.now();
      await using _client = await connect(gateway.url, { auth });
      took.push(performance.now() - began);
    }
    return took.sort((a, b) => a - b);
  };
  await knock();
  const base = await knock();
  for (let i = 0; i < 3_000; i++) {
    const socket = tcp(gateway.port, '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
    if (i % 2 === 0) socket.write(UPGRADE);
    if (i % 100 === 0) await once(socket, 'connect');
  }
  let flooded: number[] = [];
  const figures = await gateway.under('3,000 silent sockets', async () => {
    flooded = await knock();
  });
  console.log(`hostile |   the owner's handshake, p50 and p99: ${base[50]} ${base[98]}, under the flood ${flooded[50]} ${flooded[98]} ms`);
  expectWithinBounds(figures);
  expect(flooded).toHaveLength(100);
});
