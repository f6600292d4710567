/**
 * Handshakes, 50 at a time, with a token and with a device's signature. Per second of the *server's* CPU: the client and
 * the rest of the machine do not count.
 */
import { startTestGateway } from '../test/support/gateway.ts';
import { type ConnectOptions, newDevice } from '../test/support/wire.ts';
import { cpuMs, startBare } from './processes.ts';
import { type BenchOptions, median, type Row, ratioRow } from './row.ts';
import { WireClient } from './wire-client.ts';

const AT_A_TIME = 50;
/** No more than 32 of one address may be before their `connect` at once: so many there are from two. */
const ADDRESSES = ['127.0.0.1', '127.0.0.2'];

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const count = quick ? 500 : 1500;
  await using bare = await startBare();
  await using gateway = await startTestGateway();
  const pid = gateway.child.pid as number;
  const auth = { token: gateway.token() };
  const device = newDevice();
  // Pairs it; from then on it shows the token it got.
  const deviceToken = await pair(gateway.port, { auth, device });

  const rates = { bare: [] as number[], token: [] as number[], device: [] as number[] };
  for (let i = 0; i <= (quick ? 3 : 5); i++) {
    const round = {
      bare: await rate(count, bare.pid, bare.port, {}),
      token: await rate(count, pid, gateway.port, { auth }),
      device: await rate(count, pid, gateway.port, { auth: { deviceToken }, device }),
    };
    if (i === 0) continue; // Lets the compilers see it once.
    for (const name of ['bare', 'token', 'device'] as const) rates[name].push(round[name]);
  }
  const floor = median(rates.bare);
  const unit = 'per s of CPU';
  return [
    ratioRow('handshakes, token', unit, median(rates.token), floor, { atLeast: 0.7 }, 'bare ws'),
    ratioRow('handshakes, device signature', unit, median(rates.device), floor, { atLeast: 0.6 }, 'bare ws'),
  ];
}

async function rate(count: number, pid: number, port: number, options: ConnectOptions): Promise<number> {
  const before = cpuMs(pid);
  let left = count;
  const worker = async (localAddress: string | undefined): Promise<void> => {
    while (left-- > 0) (await WireClient.connect(port, { ...options, ...(localAddress && { localAddress }) })).close();
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, (_, i) => worker(ADDRESSES[i % ADDRESSES.length])));
  return count / ((cpuMs(pid) - before) / 1000);
}

async function pair(port: number, options: ConnectOptions): Promise<string> {
  const client = await WireClient.connect(port, options);
  client.close();
  const { auth } = client.hello as { auth: { deviceToken: string } };
  return auth.deviceToken;
}
