import { expect, test } from 'vitest';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { createJournal, FLUSH_MS } from './journal.ts';

test('AG-30 text waits less than 250 ms, in one write, in order', async () => {
  const clock = manualClock();
  const written: string[] = [];
  const journal = createJournal(
    async (text) => void written.push(text),
    clock,
    () => {},
  );
  expect(FLUSH_MS).toBeLessThan(250);
  journal.add('a');
  journal.add('b');
  await clock.advance(FLUSH_MS - 1);
  expect(written).toEqual([]);
  await clock.advance(1);
  expect(written).toEqual(['ab']);
  journal.add('c');
  await journal.flush();
  expect(written).toEqual(['ab', 'c']);
  expect(clock.pending).toBe(0);
});

test('AG-30 much text does not wait', async () => {
  const written: string[] = [];
  const journal = createJournal(
    async (text) => void written.push(text),
    manualClock(),
    () => {},
  );
  journal.add('x'.repeat(70_000));
  expect(written).toHaveLength(1);
});

test('AG-30 what could not be written is written with the next; what was given up never', async () => {
  const clock = manualClock();
  const written: string[] = [];
  let fails = true;
  const errors: unknown[] = [];
  const journal = createJournal(
    async (text) => {
      if (fails) throw new Error('disk full');
      written.push(text);
    },
    clock,
    (thrown) => errors.push(thrown),
  );
  journal.add('a');
  await clock.advance(FLUSH_MS);
  expect(errors).toHaveLength(1);
  fails = false;
  journal.add('b');
  await clock.advance(FLUSH_MS);
  expect(written).toEqual(['ab']);
  journal.add('c');
  journal.forget();
  await clock.advance(FLUSH_MS);
  expect(written).toEqual(['ab']);
});
