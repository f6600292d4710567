import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BOUNDS, expectWithinBounds } from './support/attack.ts';
import { type Crowd, type Ended, startAgainstHostile } from './support/runs.ts';

/** Model servers that do their worst, against the booted product: how late its loop is, what it holds, what its clients are sent. */

const MIB = 1024 * 1024;

describe('a hostile model server', () => {
  let gateway: Awaited<ReturnType<typeof startAgainstHostile>>;
  let crowd: Crowd;
  beforeAll(async () => {
    gateway = await startAgainstHostile(16);
    crowd = await gateway.crowd(3, 4);
    // The first run loads what the others find loaded.
    await crowd.ask('HOSTILE:text n=1');
  });
  afterAll(async () => {
    await crowd?.[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
  });

  /** `times` runs of one kind at once, looked at for at least two seconds, within the bounds. */
  async function under(what: string, times = 1, by: () => Crowd = () => crowd, at = gateway): Promise<Ended> {
    let ends: readonly Ended[] = [];
    const figures = await at.under(`${times} × ${what}`, async () => {
      [ends] = await Promise.all([Promise.all(Array.from({ length: times }, () => by().ask(`HOSTILE:${what}`))), wait(2_000)]);
    });
    const [first] = ends;
    if (first === undefined) throw new Error('no run');
    console.log(
      `hostile | ${what} | ${first.state} in ${first.ms} ms, ${first.chars} characters, ${first.mine} bytes to its sender, ${first.others} to another`,
    );
    // Where all is over in a moment, one tick in a hundred is the moment itself: what counts there is the worst one.
    const isBrief = figures.lag.ticks < 1_000;
    expectWithinBounds(isBrief ? { ...figures, lag: { ...figures.lag, p99: 0 } } : figures);
    return first;
  }

  test.each([
    ['calls', 'more than 64 tool calls'],
    ['calls-in-one', 'more than 4096 values'],
    ['one-input mb=10', 'one event of more than 1 MiB'],
    ['nameless', '2 MiB without a word'],
    ['data-lines', 'one event of more than 1 MiB'],
    ['json', 'one event of more than 1 MiB'],
    ['gzip', 'one event of more than 1 MiB'],
    ['line', 'one event of more than 1 MiB', 'begun '],
    ['junk', '2 MiB without a word', 'begun '],
    ['finishes', '2 MiB without a word', 'begun '],
    ['delta n=3000000', 'one event of more than 1 MiB'],
    ['think n=140000', 'characters of reasoning'],
    ['headers', 'headers that are too long'],
    ['error status=400', 'Bad Request'],
    ['comments n=70000', 'more than 64 MiB'],
  ])('AG-131 %s: a readable error, with what was said before', async (what, said, text = '') => {
    const end = await under(what);
    expect(end).toMatchObject({ state: 'error', head: text });
    expect(end.error).toContain(said);
  });

  test.each([
    ['delta n=1000001', 'length', 500_000],
    ['delta n=500000', 'stop', 500_000],
    ['text n=80000', 'stop', 320_000],
    ['bytes', 'stop', 1_300],
    ['comments n=3000000 size=1', 'stop', 5],
    ['input n=200000', 'stop', 4],
    ['hoard', 'stop', 6],
  ])('AG-130 AG-132 AG-133 %s: an answer', async (what, stopReason, chars) => {
    expect(await under(what)).toMatchObject({ state: 'final', stopReason, chars });
  });

  test.each([
    ['text n=40000', 160_000],
    ['slow-text n=200000 seconds=5', 200_000],
    ['mixed n=20000', 160_000],
    ['think n=24000', 160_000],
  ])('EV-160 %s: bytes for each client in proportion', async (what, chars) => {
    const end = await under(what);
    expect(end.state).toBe('final');
    // An answer and its reasoning have an allowance each.
    const bound = 1.2 * (MIB + 8 * chars + (128 * 1024 * end.ms) / 1000);
    expect(end.mine).toBeLessThan(bound);
    expect(end.others).toBeLessThan(bound);
  });

  test('EV-161 EV-160 four fast runs at once before a hundred readers, on either protocol', async () => {
    for (const protocol of [3, 4] as const) {
      await using own = await startAgainstHostile(16);
      await using many = await own.crowd(100, protocol);
      await many.ask('HOSTILE:text n=1');
      expect(await under('text n=20000', 4, () => many, own)).toMatchObject({ state: 'final', chars: 80_000 });
      expect(await under('delta n=1000001', 2, () => many, own)).toMatchObject({ state: 'final', chars: 500_000 });
    }
  });

  test.each(['junk', 'line', 'nameless', 'comments n=60000'])('AG-131 sixteen runs at once of 64 MiB each: %s', async (what) => {
    const figures = await gateway.under(`16 × ${what}`, async () => {
      await Promise.all(Array.from({ length: 16 }, () => crowd.ask(`HOSTILE:${what}`)));
    });
    // Four times what a gateway runs at once by default: what it holds is the question here.
    expect(figures.peakMiB).toBeLessThanOrEqual(BOUNDS.rssMiB);
    expect(figures.neighbour.failed).toBe(0);
    expect(figures.lag.worst).toBeLessThan(1_000);
  });
});
