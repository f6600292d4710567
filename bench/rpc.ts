/** `health` over one connection: in turn (latency, rate), and 64 in flight (rate per second of the server's CPU). */
import { startTestGateway } from '../test/support/gateway.ts';
import { cpuMs, startBare } from './processes.ts';
import { type BenchOptions, median, percentile, type Row, ratioRow, valueRow } from './row.ts';
import { WireClient } from './wire-client.ts';

const IN_FLIGHT = 64;

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const inTurnCount = quick ? 2_000 : 5_000;
  const inFlightCount = quick ? 20_000 : 60_000;
  await using bare = await startBare();
  await using gateway = await startTestGateway();
  const servers = {
    bare: { pid: bare.pid, client: await WireClient.connect(bare.port, {}) },
    ours: { pid: gateway.child.pid as number, client: await WireClient.connect(gateway.port, { auth: { token: gateway.token() } }) },
  };
  const echo = `e${'x'.repeat(299)}`;
  const echoed = { send: () => echo, isAnswer: (text: string) => text.startsWith('e') };
  const asked = {
    send: (i: number) => `{"type":"req","id":"r${i}","method":"health"}`,
    isAnswer: (text: string) => text.startsWith('{"type":"res"'),
  };
  const p50 = { bare: [] as number[], ours: [] as number[] };
  const rate = { bare: [] as number[], ours: [] as number[] };
  for (let i = 0; i <= (quick ? 3 : 7); i++) {
    for (const name of ['bare', 'ours'] as const) {
      const { client, pid } = servers[name];
      const latency = percentile(await inTurn(client, name === 'bare' ? echoed : asked, inTurnCount), 0.5);
      const before = cpuMs(pid);
      await inFlight(client, asked, inFlightCount);
      const perSecond = inFlightCount / ((cpuMs(pid) - before) / 1000);
      if (i === 0) continue; // Lets the compilers see it once.
      p50[name].push(latency);
      rate[name].push(perSecond);
    }
  }
  for (const { client } of Object.values(servers)) client.close();
  return [
    ratioRow('health RPC, in turn, p50', 'ms', median(p50.ours), median(p50.bare), { atMost: 1.3 }, 'bare echo'),
    valueRow('health RPC, in turn, rate', 'per s', 1000 / median(p50.ours), { atLeast: 8_000 }, 1000 / median(p50.bare)),
    ratioRow('health RPC, 64 in flight', 'per s of CPU', median(rate.ours), median(rate.bare), { atLeast: 0.4 }, 'bare ws + JSON'),
  ];
}

interface Exchange {
  readonly send: (i: number) => string;
  readonly isAnswer: (text: string) => boolean;
}

/** ms of each of `count` exchanges, one after the other. */
function inTurn(client: WireClient, { send, isAnswer }: Exchange, count: number): Promise<number[]> {
  const taken: number[] = [];
  return new Promise((resolve) => {
    let began = 0;
    const next = (): void => {
      began = performance.now();
      client.ws.send(send(taken.length));
    };
    client.onText = (text) => {
      if (!isAnswer(text)) return;
      if (taken.push(performance.now() - began) < count) return next();
      client.onText = () => {};
      resolve(taken);
    };
    next();
  });
}

function inFlight(client: WireClient, { send, isAnswer }: Exchange, count: number): Promise<void> {
  let sent = 0;
  let answered = 0;
  return new Promise((resolve) => {
    client.onText = (text) => {
      if (!isAnswer(text)) return;
      answered++;
      if (sent < count) client.ws.send(send(sent++));
      else if (answered === count) {
        client.onText = () => {};
        resolve();
      }
    };
    while (sent < IN_FLIGHT) client.ws.send(send(sent++));
  });
}
