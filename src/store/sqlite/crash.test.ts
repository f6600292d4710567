import { expect, test } from 'vitest';
import { seeded } from '../../../test/support/seed.ts';
import { SOUND } from '../../../test/support/store-check.ts';
import { killLoop } from '../../../test/support/store-kill-loop.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';

test('ST-12 kill -9 at 20 random instants: all that was acknowledged is there once, numbers are dense, it opens without repair', async () => {
  using dir = tempDir();
  const { random } = seeded('store kill loop');
  const report = await killLoop({ dir: dir.path, kills: 20, mode: 'honest', random });
  expect(report).toMatchObject({ kills: 20, ...SOUND });
  expect(report.acknowledged).toBeGreaterThan(100);
  expect(report.uncleanOpens).toBeGreaterThan(10);
  expect(report.slowestOpenMs).toBeLessThan(1000);
}, 60_000);

test('ST-12 the same check catches a store that acknowledges 50 ms before it commits', async () => {
  using dir = tempDir();
  const { random } = seeded('store kill loop, broken on purpose');
  const report = await killLoop({ dir: dir.path, kills: 20, mode: 'early', random });
  expect(report.lost.length).toBeGreaterThan(0);
}, 60_000);
