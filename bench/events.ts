/**
 * One event to everybody, until the last one has it. Ours: a session is reset, which is durable before `sessions.changed`
 * leaves. The floor: one prebuilt frame of the same size to the same number of bare sockets.
 */
import { startTestGateway } from '../test/support/gateway.ts';
import { startBare } from './processes.ts';
import { type BenchOptions, median, type Row, ratioRow } from './row.ts';
import { WireClient } from './wire-client.ts';

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const rounds = quick ? 5 : 15;
  await using bare = await startBare();
  await using gateway = await startTestGateway();
  const auth = { token: gateway.token() };
  const rows: Row[] = [];
  for (const count of quick ? [500] : [500, 2_000]) {
    const ours = await WireClient.crowd(count, gateway.port, { auth });
    const floor = await WireClient.crowd(count, bare.port, {});
    for (const client of ours) await client.call('sessions.subscribe');
    const taken = { bare: [] as number[], ours: [] as number[] };
    let size = 300;
    for (let i = 0; i <= rounds; i++) {
      const reset = await toLast(
        ours,
        '"event":"sessions.changed"',
        '{"type":"req","id":"x","method":"sessions.reset","params":{"key":"main"}}',
      );
      size = reset.size;
      const prebuilt = await toLast(floor, '*', '*'.padEnd(size, 'x'));
      if (i === 0) continue;
      taken.ours.push(reset.ms);
      taken.bare.push(prebuilt.ms);
    }
    for (const client of [...ours, ...floor]) client.close();
    const figure = `event of ${size} B to ${count.toLocaleString('en')} clients, last one`;
    rows.push(ratioRow(figure, 'ms', median(taken.ours), median(taken.bare), { atMost: 1.4 }, 'a prebuilt frame'));
  }
  return rows;
}

/** From sending `trigger` on the first connection until every one has a frame that contains `mark`. */
function toLast(clients: readonly WireClient[], mark: string, trigger: string): Promise<{ ms: number; size: number }> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error(`${waiting} of ${clients.length} got no ${mark}`)), 10_000);
    let waiting = clients.length;
    let began = 0;
    for (const client of clients) {
      client.onText = (text) => {
        if (text.includes('"ok":false')) reject(new Error(text));
        if (!text.includes(mark)) return;
        client.onText = () => {};
        if (--waiting > 0) return;
        clearTimeout(deadline);
        resolve({ ms: performance.now() - began, size: text.length });
      };
    }
    began = performance.now();
    clients[0]?.ws.send(trigger);
  });
}
