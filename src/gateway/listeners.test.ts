import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { silentLog } from '../lib/log.ts';
import { Listeners } from './listeners.ts';

const wish = (port: number) => ({ mode: 'loopback' as const, customHost: undefined, port });

async function setUp() {
  const listeners = new Listeners(wish(0), {
    clock: manualClock(),
    log: silentLog,
    serverFor: () => createHttpServer(),
    onActive: () => {},
  });
  const started = await listeners.start();
  if (!started.ok || started.value.state !== 'active') throw new Error('does not listen');
  return { listeners, port: started.value.port };
}

test('WS-31 a restart to a port that somebody holds is known not to come up; to a free one, or ours, it would', async () => {
  const { listeners, port } = await setUp();
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const held = (holder.address() as AddressInfo).port;
  expect(await listeners.problem(wish(held))).toMatchObject({ code: 'PORT_IN_USE', port: held });
  expect(await listeners.problem(wish(port))).toBeUndefined();
  holder.close();
  await once(holder, 'close');
  // Twice: the question leaves nothing behind on the port.
  for (let i = 0; i < 2; i++) expect(await listeners.problem(wish(held))).toBeUndefined();
  listeners.close();
});

test('WS-16 what is left after the end is cut, also what never said a word', async () => {
  const { listeners, port } = await setUp();
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  // Answered over the same server, so that the silent one was taken before.
  const other = connect(port, '127.0.0.1', () => other.end('GET / HTTP/1.1\r\n\r\n'));
  other.resume();
  await once(other, 'close');
  const closed = once(socket, 'close');
  listeners.close();
  listeners.cut();
  await closed;
});
