import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EventLog, LogPosition, ToldEntry } from '../../src/store/event-log.ts';

/** A log under test, with the store behind it. `reopen`, where it can be closed and opened again. */
export interface LogUnderTest<Unit> extends AsyncDisposable {
  readonly log: EventLog<Unit>;
  write<T>(work: (unit: Unit) => T): Promise<T>;
  reopen?(): Promise<void>;
}

/** What every log keeps, whatever lies behind it. */
export function eventLogContract<Unit>(name: string, open: () => Promise<LogUnderTest<Unit>>): void {
  test(`EV-1 ${name}: seq is dense per topic from 1, row ids rise over all; payloads come back byte for byte`, async () => {
    await using t = await open();
    expect(t.log.head('gateway')).toBeUndefined();
    const positions: LogPosition[] = await Promise.all(
      ['gateway', 'agent:main:main', 'gateway'].map((topic, i) =>
        t.write((unit) => t.log.append(unit, topic, 'chat', `{"n": ${i}, "t":"é𝄞"}`, 1000 + i)),
      ),
    );
    expect(positions.map(({ rowId, seq }) => [rowId, seq])).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
    ]);
    expect(t.log.read('gateway', 0, 10)).toEqual([
      { rowId: 1, seq: 1, kind: 'chat', at: 1000, payload: '{"n": 0, "t":"é𝄞"}' },
      { rowId: 3, seq: 2, kind: 'chat', at: 1002, payload: '{"n": 2, "t":"é𝄞"}' },
    ]);
    expect(t.log.read('gateway', 1, 10).map(({ seq }) => seq)).toEqual([2]);
    expect(t.log.read('gateway', 0, 1).map(({ seq }) => seq)).toEqual([1]);
    expect(t.log.read('nobody', 0, 10)).toEqual([]);
    expect(t.log.head('gateway')).toEqual({ epoch: positions[0]?.epoch, seq: 2, first: 1 });
    expect(positions[1]?.epoch).not.toBe(positions[0]?.epoch);
  });

  test(`EV-2 EV-5 EV-6 ${name}: appends, some undone, with trims and reopens between: dense, never reused, one epoch, told once and in order`, async () => {
    const topic = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), topic }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('undone' as const), topic }) },
      { weight: 1, arbitrary: fc.constant({ do: 'turn' as const }) },
      { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('trim' as const), keep: fc.nat(10), limit: fc.integer({ min: 1, max: 5 }) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        await using t = await open();
        const told: ToldEntry[] = [];
        const listen = (): void => void t.log.tail((entry) => told.push(entry));
        listen();
        const acknowledged: { topic: string; at: LogPosition }[] = [];
        let trimmed = 0;
        let pending: Promise<unknown>[] = [];
        for (const step of steps) {
          if (step.do === 'append' || step.do === 'undone') {
            const write = t.write((unit) => {
              const at = t.log.append(unit, step.topic, 'k', '{}', 5);
              if (step.do === 'undone') throw new Error('undone');
              return at;
            });
            pending.push(
              write.then(
                (at) => acknowledged.push({ topic: step.topic, at }),
                () => undefined,
              ),
            );
            continue;
          }
          await Promise.all(pending);
          pending = [];
          if (step.do === 'trim') {
            const there = acknowledged.length - trimmed;
            const gone = await t.write((unit) => t.log.trim(unit, { before: 0, keep: step.keep, limit: step.limit }));
            expect(gone).toBe(Math.min(step.limit, Math.max(0, there - step.keep)));
            trimmed += gone;
          } else if (step.do === 'reopen' && t.reopen !== undefined) {
            await t.reopen();
            listen();
          }
        }
        await Promise.all(pending);
        expect(told.map(({ rowId }) => rowId)).toEqual(acknowledged.map(({ at }) => at.rowId));
        expect(told.map(({ topic, seq, epoch }) => [topic, seq, epoch])).toEqual(
          acknowledged.map(({ topic, at }) => [topic, at.seq, at.epoch]),
        );
        const left = new Set(acknowledged.slice(trimmed).map(({ at }) => at.rowId));
        for (const topic of ['a', 'b', 'c']) {
          const mine = acknowledged.filter((one) => one.topic === topic).map(({ at }) => at);
          expect(mine.map(({ seq }) => seq)).toEqual(mine.map((_, i) => i + 1));
          const kept = mine.filter(({ rowId }) => left.has(rowId));
          expect(t.log.read(topic, 0, 1000).map(({ seq, rowId }) => [seq, rowId])).toEqual(kept.map(({ seq, rowId }) => [seq, rowId]));
          expect(new Set(mine.map(({ epoch }) => epoch)).size).toBeLessThanOrEqual(1);
          const head = { epoch: mine[0]?.epoch, seq: mine.length, first: kept[0]?.seq ?? mine.length + 1 };
          expect(t.log.head(topic)).toEqual(mine.length > 0 ? head : undefined);
        }
      }),
      { numRuns: 40 },
    );
  });

  test(`EV-6 ${name}: what is older goes, oldest first, in steps; nothing newer`, async () => {
    await using t = await open();
    for (let i = 0; i < 10; i++) await t.write((unit) => t.log.append(unit, `t${i % 2}`, 'k', '{}', i));
    const step = (before: number, limit: number): Promise<number> => t.write((unit) => t.log.trim(unit, { before, keep: 1_000, limit }));
    expect([await step(6, 4), await step(6, 4), await step(6, 4)]).toEqual([4, 2, 0]);
    expect(t.log.read('t0', 0, 10).map(({ at }) => at)).toEqual([6, 8]);
    expect(t.log.head('t1')).toMatchObject({ seq: 5, first: 4 });
    expect(await step(100, 100)).toBe(4);
    expect(t.log.head('t1')).toMatchObject({ seq: 5, first: 6 });
    expect((await t.write((unit) => t.log.append(unit, 't1', 'k', '{}', 11))).seq).toBe(6);
  });

  test(`EV-3 ${name}: after a restore every topic has a new epoch and goes on counting`, async () => {
    await using t = await open();
    const first = await t.write((unit) => t.log.append(unit, 'gateway', 'k', '1', 0));
    await t.write((unit) => t.log.renewEpochs(unit));
    const next = await t.write((unit) => t.log.append(unit, 'gateway', 'k', '2', 0));
    expect(next.seq).toBe(2);
    expect(next.epoch).not.toBe(first.epoch);
  });
}
