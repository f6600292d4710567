import { expect, test } from 'vitest';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type Pingable, startHeartbeat } from './heartbeat.ts';

test('WS-10 a link that answers lives on; one that leaves two pings unanswered is cut, and not before', async () => {
  const clock = manualClock();
  const told: string[] = [];
  const link = (name: string, answers: boolean): Pingable => ({
    missed: 0,
    ping() {
      told.push(`ping ${name}`);
      if (answers) this.missed = 0;
    },
    dead: () => void told.push(`dead ${name}`),
  });
  const links = [link('lively', true), link('asleep', false)];
  const stop = startHeartbeat(clock, () => links);
  for (let beat = 1; beat <= LIMITS.missedPings; beat++) await clock.advance(LIMITS.pingIntervalMs);
  expect(told.filter((line) => line.startsWith('dead'))).toEqual([]);
  await clock.advance(LIMITS.pingIntervalMs);
  expect(told.filter((line) => line.startsWith('dead'))).toEqual(['dead asleep']);
  expect(told.filter((line) => line === 'ping lively')).toHaveLength(3);
  stop();
  await clock.advance(LIMITS.pingIntervalMs * 3);
  expect(told.filter((line) => line === 'ping lively')).toHaveLength(3);
});
