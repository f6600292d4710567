import { expect, test } from 'vitest';
import { isRefusal } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import { WaitingCalls } from './waiting-calls.ts';

test('WS-21 calls that wait for a run are bounded per principal, and an ended one makes room, also when it failed', async () => {
  const waiting = new WaitingCalls();
  const ends: ((failed: boolean) => void)[] = [];
  const wait = (who: string): Promise<unknown> =>
    waiting.during(
      who,
      () => new Promise((resolve, reject) => ends.push((failed) => (failed ? reject(new Error('no')) : resolve('ended')))),
    );
  const first = Array.from({ length: LIMITS.waitingCalls }, () => wait('a').catch(() => 'failed'));
  const refused = await wait('a');
  expect(isRefusal(refused) && refused.error).toMatchObject({
    code: 'UNAVAILABLE',
    retryable: true,
    details: { code: 'TOO_MANY_WAITING' },
  });
  expect(ends).toHaveLength(LIMITS.waitingCalls);
  const other = wait('b');
  ends.pop()?.(false);
  expect(await other).toBe('ended');
  ends.pop()?.(true);
  expect(await first.at(-1)).toBe('failed');
  const next = wait('a');
  for (const end of ends) end(false);
  expect(await next).toBe('ended');
  await Promise.all(first);
});
