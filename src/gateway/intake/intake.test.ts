import { expect, test } from 'vitest';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { Intake } from './intake.ts';
import { Lane, type Tap } from './lane.ts';
import { Slots } from './slots.ts';
import { TURN_MS, Turns } from './turns.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Each piece of work takes 1 ms of a clock that only work moves. */
function workshop() {
  let now = 0;
  const done: string[] = [];
  const turns = new Turns(() => now);
  const taps = new Map<string, boolean>();
  const lane = (name: string, work?: (frame: string) => Promise<void> | undefined, account = name) => {
    const tap: Tap = { pause: () => void taps.set(name, true), resume: () => void taps.set(name, false) };
    return new Lane(turns, account, tap, (frame) => {
      now++;
      done.push(`${name}${frame}`);
      return work?.(String(frame));
    });
  };
  const push = (to: Lane, ...frames: number[]): void => {
    for (const frame of frames) to.push(Buffer.from(String(frame)));
  };
  return { done, lane, push, taps };
}
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

test('WS-52 a flood on one connection is worked on in turns, and another one comes in between', async () => {
  const { done, lane, push, taps } = workshop();
  const flood = lane('f');
  const other = lane('o');
  push(flood, ...upTo(1_000));
  expect(done.length).toBe(TURN_MS);
  expect(taps.get('f')).toBe(true);
  push(other, 0);
  await nextTurn();
  expect(done.indexOf('o0')).toBeLessThanOrEqual(TURN_MS + 1);
  expect(done.length).toBeLessThanOrEqual(2 * TURN_MS + 1);
  while (taps.get('f') !== false) await nextTurn();
  expect(done.filter((each) => each !== 'o0')).toEqual(upTo(1_000).map((n) => `f${n}`));
});

test('WS-52 a single frame comes before the next of many connections of one caller, and of the same caller before those that had much', async () => {
  const { done, lane, push } = workshop();
  const many = upTo(50).map((n) => lane(`m${n}:`, undefined, 'm'));
  for (const each of many) push(each, ...upTo(20));
  for (let i = 0; i < 40; i++) await nextTurn();
  const before = done.length;
  push(lane('o'), 0);
  push(lane('same', undefined, 'm'), 0);
  while (!done.includes('same0')) await nextTurn();
  expect(done.indexOf('o0') - before).toBeLessThanOrEqual(1);
  expect(done.indexOf('same0') - before).toBeLessThanOrEqual(3);
});

test('WS-52 a hundred thousand pieces that come by themselves wait in order, at the same cost each', async () => {
  let now = 0;
  const turns = new Turns(() => now);
  const seen: number[] = [];
  const began = process.cpuUsage();
  for (let i = 0; i < 100_000; i++) {
    turns.once('a', () => {
      now += 0.01;
      seen.push(i);
    });
  }
  while (seen.length < 100_000) await nextTurn();
  expect(seen.every((n, i) => n === i)).toBe(true);
  // A tenth of a second; the square of them would be minutes.
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(10);
});

test('WS-52 what holds a lane holds that lane alone; what was read before the end is still worked on', async () => {
  const { done, lane, push } = workshop();
  let release = (): void => {};
  const slow = lane('s', (frame) => (frame === '0' ? new Promise((resolve) => (release = resolve)) : undefined));
  push(slow, 0, 1, 2);
  push(lane('o'), 0);
  expect(done).toEqual(['s0', 'o0']);
  let ended = false;
  slow.whenEmpty(() => {
    ended = true;
  });
  release();
  while (!ended) await nextTurn();
  expect(done).toEqual(['s0', 'o0', 's1', 's2']);
});

test('WS-52 dropped frames are not worked on', async () => {
  const { done, lane, push } = workshop();
  const flood = lane('f');
  push(flood, ...upTo(100));
  flood.drop();
  for (let i = 0; i < 30; i++) await nextTurn();
  expect(done.length).toBe(TURN_MS);
});

test('WS-53 slots: so many in all, fewer of one principal, principals in turn, each in order', async () => {
  const slots = new Slots({ inAll: 2, each: 1 });
  const got: string[] = [];
  const leave = new Map<string, () => void>();
  const take = (name: string): void => {
    void Promise.resolve(slots.take(name.charAt(0))).then((done) => {
      got.push(name);
      leave.set(name, done);
    });
  };
  const end = async (name: string): Promise<void> => {
    leave.get(name)?.();
    leave.get(name)?.();
    await nextTurn();
  };
  for (const name of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) take(name);
  await nextTurn();
  expect(got).toEqual(['a1', 'b1']);
  await end('a1');
  await end('b1');
  expect(got.slice(2)).toEqual(['a2', 'b2']);
  await end('a2');
  await end('b2');
  expect(got.slice(4).sort()).toEqual(['a3', 'c1']);
});

test('WS-50 what is large comes one at a time, and 25 MB a second of all', async () => {
  const clock = manualClock();
  const intake = new Intake(clock);
  const began: string[] = [];
  const come = async (name: string, bytes: number): Promise<void> => {
    const leave = await intake.large(name, bytes);
    began.push(name);
    leave();
  };
  void come('a', 20_000_000);
  void come('b', 100_000);
  void come('c', 1_000_000);
  await nextTurn();
  expect(began).toEqual(['a']);
  await clock.advance(799);
  await nextTurn();
  expect(began).toEqual(['a']);
  await clock.advance(2);
  await nextTurn();
  expect(began).toEqual(['a', 'b']);
  await clock.advance(5);
  await nextTurn();
  expect(began).toEqual(['a', 'b', 'c']);
});

test('WS-50 who sends megabytes waits for a place, is let in after ten seconds, and leaves none behind', async () => {
  const clock = manualClock();
  const intake = new Intake(clock);
  const held = new Set<string>();
  const leave = new Map<string, () => void>();
  const come = (name: string): void => {
    leave.set(name, intake.place(name.charAt(0), { hold: () => held.add(name), letIn: () => held.delete(name) }));
  };
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) come(name);
  expect([...held]).toEqual(['a3', 'a4', 'b2', 'c1']);
  // One of those that wait is gone: its turn goes to the next.
  leave.get('a3')?.();
  held.delete('a3');
  leave.get('a1')?.();
  leave.get('b1')?.();
  await nextTurn();
  await nextTurn();
  expect([...held]).toEqual(['a4']);
  await clock.advance(10_001);
  expect([...held]).toEqual([]);
  for (const end of leave.values()) end();
  await nextTurn();
  for (const name of ['d1', 'd2', 'e1']) come(name);
  expect([...held]).toEqual([]);
});
