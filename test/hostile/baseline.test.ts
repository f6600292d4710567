import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { expectWithinBounds, startWatchedGateway } from './support/attack.ts';

test('the probes themselves: a gateway that nobody attacks is within every bound', async () => {
  await using gateway = await startWatchedGateway();
  const figures = await gateway.under('nothing', () => wait(1_500));
  expectWithinBounds(figures);
  expect(figures.lag.ticks).toBeGreaterThan(50);
  expect(figures.neighbour.asked).toBeGreaterThan(20);
});
