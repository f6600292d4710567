/**
 * Handshakes, 50 at a time, with a token and with a device's signature. Per second of the *server's* CPU: the client and
 * the rest of the machine do not count.
 */
import { startTestGateway } from '../test/support/gateway.ts';
import { type ConnectOptions, newDevice } from '../test/support/wire.ts';
import { bundledFloor, cpuMs, startListening } from './processes.ts';
import { median, type Row, ratioRow } from './row.ts';
import { WireClient } from './wire-client.ts';

const AT_A_TIME = 50;
const COUNT = 1500;
const RUNS = 5;

export async function run(): Promise<Row[]> {
  using floor = await bundledFloor('bare-ws-server');
  await using bare = await startListening([process.execPath, floor.file], { PATH: process.env['PATH'] ?? '' });
  await using gateway = await startTestGateway();
  const pid = gateway.child.pid as number;
  const auth = { token: gateway.token() };
  const device = newDevice();
  (await WireClient.connect(gateway.port, { auth, device })).close(); // Pairs it.

  const rates = { bare: [] as number[], token: [] as number[], device: [] as number[] };
  for (let i = 0; i <= RUNS; i++) {
    const round = {
      bare: await rate(bare.pid, bare.port, {}),
      token: await rate(pid, gateway.port, { auth }),
      device: await rate(pid, gateway.port, { auth, device }),
    };
    if (i === 0) continue; // Lets the compilers see it once.
    for (const name of ['bare', 'token', 'device'] as const) rates[name].push(round[name]);
  }
  const floorRate = median(rates.bare);
  const unit = 'per s of server CPU';
  return [
    ratioRow('handshakes, token', unit, median(rates.token), floorRate, { atLeast: 0.7 }, 'bare ws'),
    ratioRow('handshakes, device signature', unit, median(rates.device), floorRate, { atLeast: 0.6 }, 'bare ws'),
  ];
}

async function rate(pid: number, port: number, options: ConnectOptions): Promise<number> {
  const before = cpuMs(pid);
  let left = COUNT;
  const worker = async (localAddress: string): Promise<void> => {
    while (left-- > 0) (await WireClient.connect(port, { ...options, localAddress })).close();
  };
  // From two addresses: one address may have 32 connections that have not said who they are.
  await Promise.all(Array.from({ length: AT_A_TIME }, (_, i) => worker(`127.0.0.${1 + (i % 2)}`)));
  return COUNT / ((cpuMs(pid) - before) / 1000);
}
