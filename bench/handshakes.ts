/**
 * Handshakes, 50 at a time, with a token and with a device's signature. Per second of the *server's* CPU: the client and
 * the rest of the machine do not count. From this machine, where the gateway looks up in the kernel's table which user
 * calls, and by the network's address, where it need not.
 */
import { startTestGateway } from '../test/support/gateway.ts';
import { newDevice } from '../test/support/wire.ts';
import { cpuMs, networkAddress, startBare, startOnNetwork } from './processes.ts';
import { type BenchOptions, median, type Row, ratioRow } from './row.ts';
import { WireClient, type WireOptions } from './wire-client.ts';

/** Programs that connect again and again. No more than 32 of one address may be before their `connect` at once: 50 come from two. */
const HERE = callers(50, (i) => ({ localAddress: `127.0.0.${1 + (i % 2)}` }));
const BY_NETWORK = callers(30, () => ({}));

function callers(count: number, from: (i: number) => WireOptions): WireOptions[] {
  return Array.from({ length: count }, (_, i) => ({ ...from(i), client: { instanceId: `bench-${i}` } }));
}

interface Server {
  readonly pid: number;
  readonly port: number;
  readonly token: string;
}

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const host = networkAddress();
  await using local = await startTestGateway();
  const rows = await compare(quick, 'from here', HERE, {}, { pid: local.child.pid as number, port: local.port, token: local.token() });
  if (host === undefined) return rows;
  await using network = await startOnNetwork(host);
  const { gateway, token } = network;
  const byNetwork = { pid: gateway.child.pid as number, port: gateway.port, token };
  return [...rows, ...(await compare(quick, 'by network', BY_NETWORK, { host }, byNetwork))];
}

async function compare(quick: boolean, from: string, callers: readonly WireOptions[], to: WireOptions, ours: Server): Promise<Row[]> {
  const count = quick ? 500 : 1500;
  await using bare = await startBare(to.host);
  const auth = { token: ours.token };
  const device = newDevice();
  // Asks for what is granted at once; from then on it shows the token it got.
  const paired = to.host === undefined ? await pair(ours.port, { ...to, auth, device }) : undefined;
  const rates = { bare: [] as number[], token: [] as number[], device: [] as number[] };
  for (let i = 0; i <= (quick ? 3 : 5); i++) {
    const round = {
      bare: await rate(count, bare.pid, bare.port, callers, to),
      token: await rate(count, ours.pid, ours.port, callers, { ...to, auth }),
      ...(paired && { device: await rate(count, ours.pid, ours.port, callers, { ...to, auth: { deviceToken: paired }, device }) }),
    };
    if (i === 0) continue; // Lets the compilers see it once.
    for (const name of ['bare', 'token', 'device'] as const) if (round[name] !== undefined) rates[name].push(round[name]);
  }
  const floor = median(rates.bare);
  const unit = 'per s of CPU';
  const token = ratioRow(`handshakes ${from}, token`, unit, median(rates.token), floor, { atLeast: 0.7 }, 'bare ws');
  if (paired === undefined) return [token];
  return [token, ratioRow(`handshakes ${from}, device signature`, unit, median(rates.device), floor, { atLeast: 0.6 }, 'bare ws')];
}

async function rate(count: number, pid: number, port: number, callers: readonly WireOptions[], options: WireOptions): Promise<number> {
  const before = cpuMs(pid);
  let left = count;
  const worker = async (caller: WireOptions): Promise<void> => {
    while (left-- > 0) (await WireClient.connect(port, { ...options, ...caller })).close();
  };
  await Promise.all(callers.map(worker));
  return count / ((cpuMs(pid) - before) / 1000);
}

async function pair(port: number, options: WireOptions): Promise<string> {
  const client = await WireClient.connect(port, options);
  client.close();
  const { auth } = client.hello as { auth: { deviceToken: string } };
  return auth.deviceToken;
}
