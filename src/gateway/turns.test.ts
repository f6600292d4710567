import { expect, test } from 'vitest';
import { Intake } from './intake.ts';
import { Turns } from './turns.ts';

const spin = (ms: number): void => {
  const until = performance.now() + ms;
  while (performance.now() < until);
};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('WS-83 a crowd is taken in several turns of the event loop, and another key is not behind all of it', async () => {
  const turns = new Turns();
  const done: string[] = [];
  for (let i = 0; i < 40; i++)
    turns.take('crowd', () => {
      spin(1);
      done.push('crowd');
    });
  expect(done.length).toBeGreaterThan(0);
  expect(done.length).toBeLessThan(40);
  turns.take('owner', () => done.push('owner'));
  for (let i = 0; i < 100 && done.length < 41; i++) await turn();
  expect(done).toHaveLength(41);
  expect(done.indexOf('owner')).toBeLessThan(30);
});

test('WS-83 alone, a task runs at once', () => {
  const turns = new Turns();
  let ran = false;
  turns.take('a', () => {
    ran = true;
  });
  expect(ran).toBe(true);
});

test('WS-83 large pieces that find no time go on in later turns, one source after the other', async () => {
  const intake = new Intake();
  expect(intake.hasTime()).toBe(true);
  spin(10);
  expect(intake.hasTime()).toBe(false);
  const order: string[] = [];
  const source = (name: string, times: number) => ({
    goOn() {
      order.push(name);
      spin(10);
      if (--times > 0) intake.later(this);
    },
  });
  intake.later(source('a', 2));
  intake.later(source('b', 2));
  const gone = source('gone', 1);
  intake.later(gone);
  intake.forget(gone);
  for (let i = 0; i < 100 && order.length < 4; i++) await turn();
  expect(order).toEqual(['a', 'b', 'a', 'b']);
});
