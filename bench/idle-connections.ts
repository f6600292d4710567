/**
 * What authenticated connections that say nothing weigh, each, and all of ten thousand together. They come by the network's
 * address where there is one: so many come from other machines.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { networkAddress, rssMiB, startBare, startOnNetwork } from './processes.ts';
import { type BenchOptions, median, type Row, ratioRow, valueRow } from './row.ts';
import { WireClient, type WireOptions } from './wire-client.ts';

/** The first ones grow heap and tables, which then stay. */
const WARM = 1_000;
const SETTLE_MS = 5_000;

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const host = networkAddress() ?? '127.0.0.1';
  const bare: Weight[][] = [];
  const ours: Weight[][] = [];
  // On top of the warm ones: the last makes ten thousand.
  const rounds = quick ? [[1_000]] : [[1_000], [1_000], [1_000, 5_000, 10_000 - WARM]];
  for (const counts of rounds) {
    {
      await using server = await startBare(host);
      bare.push(await weigh(server.pid, server.port, { host }, counts));
    }
    await using network = await startOnNetwork(host);
    const { gateway, token } = network;
    ours.push(await weigh(gateway.child.pid as number, gateway.port, { host, auth: { token } }, counts));
  }
  const each = (of: readonly Weight[][], i: number): number => median(of.flatMap((weights) => weights[i]?.each ?? []));
  // Of a thousand, what either heap happened to have left over weighs as much as they do: the budget is a figure there, a ratio for more.
  const rows = [valueRow('idle authenticated connection, of 1,000', 'KiB', each(ours, 0), { atMost: 10 }, each(bare, 0))];
  if (!quick)
    rows.push(ratioRow('idle authenticated connection, of 5,000', 'KiB', each(ours, 1), each(bare, 1), { atMost: 1.5 }, 'bare ws'));
  const [most, floor] = [ours.at(-1)?.[2], bare.at(-1)?.[2]];
  if (most === undefined || floor === undefined) return rows;
  return [...rows, valueRow('RSS with 10,000 authenticated connections', 'MiB', most.rss, { atMost: 160 }, floor.rss)];
}

interface Weight {
  /** KiB of one connection. */
  readonly each: number;
  /** MiB of the whole process. */
  readonly rss: number;
}

async function weigh(pid: number, port: number, options: WireOptions, counts: readonly number[]): Promise<Weight[]> {
  const clients = await WireClient.crowd(WARM, port, options);
  await pause(SETTLE_MS);
  const before = rssMiB(pid);
  const weights: Weight[] = [];
  for (const count of counts) {
    clients.push(...(await WireClient.crowd(count - (clients.length - WARM), port, options)));
    await pause(SETTLE_MS);
    const rss = rssMiB(pid);
    weights.push({ each: ((rss - before) * 1024) / count, rss });
  }
  for (const client of clients) client.close();
  return weights;
}
