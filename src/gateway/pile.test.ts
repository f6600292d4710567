import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { Pile, release } from './pile.ts';
import { UnsentText } from './unsent-text.ts';

test('WS-81 a pile holds what was put in, in few views, and nothing after it was dropped', () => {
  const pile = new Pile();
  const views: Buffer[] = [];
  const pieces = Array.from({ length: 60 }, () => randomBytes(50_000));
  const whole = Buffer.concat(pieces);
  for (const piece of pieces) pile.add(Buffer.from(piece), views);
  expect(views).toHaveLength(3);
  expect(Buffer.concat(views).equals(whole)).toBe(true);
  expect(views.every((view) => Pile.holds(view))).toBe(true);
  pile.drop();
  expect(views.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
});

test('WS-81 only a piece that is all of its memory is freed', () => {
  const whole = Buffer.from(new ArrayBuffer(10_000));
  const part = Buffer.from(new ArrayBuffer(20_000), 0, 10_000);
  const small = Buffer.from('pooled');
  for (const piece of [whole, part, small]) release(piece);
  expect([whole.length, part.length, small.toString()]).toEqual([0, 10_000, 'pooled']);
});

test('WS-80 texts that wait go back as the reader takes them, the oldest first', () => {
  const unsent = new UnsentText();
  const texts = Array.from({ length: 40 }, (_, i) => `${i} 文字 ${'x'.repeat(20_000)}`);
  const bytes = texts.map((text) => unsent.bytes(text));
  expect(bytes.map((each) => each.toString())).toEqual(texts);
  const all = bytes.reduce((sum, { length }) => sum + length, 0);
  unsent.taken(all / 2);
  expect(bytes[0]?.length).toBe(0);
  expect(bytes.slice(20).map((each) => each.toString())).toEqual(texts.slice(20));
  unsent.taken(0);
  expect(bytes.every(({ length }) => length === 0)).toBe(true);
});
