import { expect, test } from 'vitest';
import { AnswerFirst } from './answer-first.ts';

test('EV-140 events wait for the answer, keep their order, and wait for the last of several', () => {
  const seen: string[] = [];
  const events = new AnswerFirst<string>((event) => seen.push(event));
  events.event('before');
  const first = events.hold();
  events.event('1');
  const second = events.hold();
  events.event('2');
  first();
  first();
  expect(seen).toEqual(['before']);
  events.event('3');
  seen.push('answer');
  second();
  events.event('after');
  expect(seen).toEqual(['before', 'answer', '1', '2', '3', 'after']);
});
