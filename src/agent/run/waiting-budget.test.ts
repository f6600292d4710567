import { expect, test } from 'vitest';
import { BUDGET, sizeOf, WaitingBudget } from './waiting-budget.ts';

const MIB = 1024 * 1024;

test('AG-92 one principal has 128 MiB; many together never fill it for somebody new', () => {
  const budget = new WaitingBudget();
  let taken = 0;
  for (let n = 0; n < 300; n++) {
    if (budget.refusal('noisy', MIB) !== undefined) break;
    budget.add('noisy', MIB);
    taken++;
  }
  expect(taken).toBe(128);
  expect(budget.refusal('noisy', MIB)).toBe('bytes');
  let all = taken;
  for (let who = 0; who < 20; who++) {
    for (; budget.refusal(`p${who}`, MIB) === undefined; all++) budget.add(`p${who}`, MIB);
  }
  expect(all).toBeLessThan(BUDGET.bytesInAll / MIB);
  expect(budget.refusal('new', 1024)).toBeUndefined();
  for (let n = 0; n < taken; n++) budget.remove('noisy', MIB);
  expect(budget.refusal('noisy', MIB)).toBeUndefined();
});

test('AG-92 of the number one principal leaves as much free as it takes', () => {
  const budget = new WaitingBudget();
  let taken = 0;
  for (; budget.refusal('noisy', 1) === undefined; taken++) budget.add('noisy', 1);
  expect(taken).toBe(BUDGET.runsInAll / 2 - 1 + 1);
  expect(budget.refusal('noisy', 1)).toBe('runs');
  expect(budget.refusal('owner', 1)).toBeUndefined();
});

test('AG-92 every text and attachment counts', () => {
  expect(sizeOf({ message: 'ü', extraSystemPrompt: 'ab', context: [{ text: 'abc' }], attachments: [{ content: 'AAAA' }] })).toEqual({
    texts: 2 + 2 + 3 + 32,
    all: 2 + 2 + 3 + 32 + 3,
  });
});
