/** What a thousand authenticated connections that say nothing weigh, each. */
import { setTimeout as pause } from 'node:timers/promises';
import { startTestGateway } from '../test/support/gateway.ts';
import { type ConnectOptions, newDevice } from '../test/support/wire.ts';
import { bundledFloor, rssKiB, startListening } from './processes.ts';
import { type Row, ratioRow } from './row.ts';
import { WireClient } from './wire-client.ts';

const COUNT = 1000;
const SETTLE_MS = 4000;

export async function run(): Promise<Row[]> {
  using floor = await bundledFloor('bare-ws-server');
  await using bare = await startListening([process.execPath, floor.file], { PATH: process.env['PATH'] ?? '' });
  await using gateway = await startTestGateway();
  const ours = await each(gateway.child.pid as number, gateway.port, { auth: { token: gateway.token() }, device: newDevice() });
  const floorEach = await each(bare.pid, bare.port, {});
  return [ratioRow('idle authenticated connection', 'KiB', ours, floorEach, { atMost: 1.5 }, 'bare ws')];
}

async function each(pid: number, port: number, options: ConnectOptions): Promise<number> {
  const open = async (): Promise<WireClient[]> => {
    const clients: WireClient[] = [];
    while (clients.length < COUNT) {
      clients.push(...(await Promise.all(Array.from({ length: 25 }, () => WireClient.connect(port, options)))));
    }
    return clients;
  };
  // The first thousand grow heap and tables, which then stay; the second show what a connection weighs.
  const first = await open();
  await pause(SETTLE_MS);
  const before = rssKiB(pid);
  const second = await open();
  await pause(SETTLE_MS);
  const weight = (rssKiB(pid) - before) / COUNT;
  for (const client of [...first, ...second]) client.close();
  return weight;
}
