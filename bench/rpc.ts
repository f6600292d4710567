/** `health` over one connection: in turn (latency), and 64 in flight (rate per second of the server's CPU). */
import { startTestGateway } from '../test/support/gateway.ts';
import { bundledFloor, cpuMs, startListening } from './processes.ts';
import { median, percentile, type Row, ratioRow } from './row.ts';
import { WireClient } from './wire-client.ts';

const IN_TURN = 4000;
const IN_FLIGHT = 64;
const MANY = 60_000;
const RUNS = 5;

export async function run(): Promise<Row[]> {
  using floor = await bundledFloor('bare-ws-server');
  await using bare = await startListening([process.execPath, floor.file], { PATH: process.env['PATH'] ?? '' });
  await using gateway = await startTestGateway();
  const servers = {
    bare: { pid: bare.pid, client: await WireClient.connect(bare.port, {}) },
    ours: { pid: gateway.child.pid as number, client: await WireClient.connect(gateway.port, { auth: { token: gateway.token() } }) },
  };
  const p50 = { bare: [] as number[], ours: [] as number[] };
  const rate = { bare: [] as number[], ours: [] as number[] };
  for (let i = 0; i <= RUNS; i++) {
    for (const name of ['bare', 'ours'] as const) {
      const { client, pid } = servers[name];
      const latency = percentile(await inTurn(client), 0.5);
      const before = cpuMs(pid);
      await inFlight(client);
      const perSecond = MANY / ((cpuMs(pid) - before) / 1000);
      if (i === 0) continue;
      p50[name].push(latency);
      rate[name].push(perSecond);
    }
  }
  for (const { client } of Object.values(servers)) client.close();
  return [
    ratioRow('health RPC, in turn, p50', 'ms', median(p50.ours), median(p50.bare), { atMost: 1.3 }, 'bare echo'),
    ratioRow(
      'health RPC, 64 in flight',
      'per s of server CPU',
      median(rate.ours),
      median(rate.bare),
      { atLeast: 0.4 },
      'bare ws + JSON echo',
    ),
  ];
}

async function inTurn(client: WireClient): Promise<number[]> {
  const taken: number[] = [];
  for (let i = 0; i < IN_TURN; i++) {
    const began = performance.now();
    const answer = client.next(`"id":"r${i}"`);
    client.ws.send(`{"type":"req","id":"r${i}","method":"health"}`);
    await answer;
    taken.push(performance.now() - began);
  }
  return taken;
}

function inFlight(client: WireClient): Promise<void> {
  let sent = 0;
  let answered = 0;
  const send = (): void => client.ws.send(`{"type":"req","id":"f${sent++}","method":"health"}`);
  return new Promise((resolve) => {
    client.onText = (text) => {
      if (!text.startsWith('{"type":"res"')) return;
      answered++;
      if (sent < MANY) send();
      else if (answered === MANY) {
        client.onText = () => {};
        resolve();
      }
    };
    for (let i = 0; i < IN_FLIGHT; i++) send();
  });
}
