import { expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { HELD_LIMITS, HeldBytes, type Holder } from './held-bytes.ts';

function held(budget: number) {
  const clock = manualClock();
  const bytes = new HeldBytes('incoming', budget, clock);
  const gone: string[] = [];
  const holder = (name: string, heldKey: string): Holder & { set(now: number): void } => {
    let now = 0;
    const made = {
      heldKey,
      heldNow: () => now,
      giveUp: (_way: string, why: string) => void gone.push(`${name} ${why}`),
      set: (next: number) => {
        now = next;
        bytes.note(made, next);
      },
    };
    return made;
  };
  return { clock, bytes, gone, holder };
}

test('WS-80 the largest of who holds most goes first, and small ones of others never', () => {
  const { bytes, gone, holder } = held(1_000);
  const small = Array.from({ length: 20 }, (_, i) => holder(`small-${i}`, `honest-${i}`));
  for (const each of small) each.set(10);
  const large = holder('large', 'honest');
  large.set(300);
  const flood = Array.from({ length: 10 }, (_, i) => holder(`flood-${i}`, 'flood'));
  for (const [i, each] of flood.entries()) each.set(60 + i);
  expect(gone).toEqual(['flood-7 most', 'flood-6 most', 'flood-9 most', 'flood-8 most']);
  expect(bytes.total).toBeLessThanOrEqual(1_000);
});

test('WS-80 room is made by what is held at that moment, not by what was noted', () => {
  const { gone, bytes, holder } = held(100);
  let real = 90;
  const drained: Holder = { heldKey: 'a', heldNow: () => real, giveUp: () => gone.push('drained') };
  bytes.note(drained, 90);
  real = 0;
  holder('b', 'b').set(60);
  expect(gone).toEqual([]);
  expect(bytes.total).toBe(60);
});

test('WS-80 alone, one that holds more than all may goes itself', () => {
  const { gone, bytes, holder } = held(100);
  holder('alone', 'a').set(101);
  expect(gone).toEqual(['alone most']);
  expect(bytes.total).toBe(0);
});

test('WS-81 an unfinished message that does not grow is given up, one that does is not', async () => {
  const { clock, bytes, gone, holder } = held(1e9);
  const silent = holder('silent', 'a');
  const dripping = holder('dripping', 'b');
  const growing = holder('growing', 'c');
  const busy = holder('busy', 'd');
  for (const each of [silent, dripping, growing, busy]) each.set(1_000);
  for (let look = 1; look <= 4; look++) {
    await clock.advance(HELD_LIMITS.slowMs);
    if (look === 1) dripping.set(1_001);
    growing.set(look * HELD_LIMITS.slowBytes + 1_000);
    // A message was completed and another one begun.
    busy.set(10);
    busy.set(1_000);
    bytes.endSlow();
  }
  expect(gone).toEqual(['silent slow', 'dripping slow']);
});
