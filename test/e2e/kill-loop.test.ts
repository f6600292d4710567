import path from 'node:path';
import { expect, test } from 'vitest';
import { crashLoop, percentile } from '../support/crash-loop.ts';
import { SOUND_FINAL } from '../support/product-check.ts';
import { seeded } from '../support/seed.ts';
import { tempDir } from '../support/temp-dir.ts';

const EARLY = path.join(import.meta.dirname, '../support/early-gateway.ts');

test('ST-12 AG-30 kill -9 at 100 random instants while eight clients stream: every acknowledged send is there exactly once', async () => {
  using dir = tempDir();
  const { seed } = seeded('gateway kill loop');
  const report = await crashLoop({ dir: dir.path, seed, kills: 100, startKills: 20, clients: 8 });
  const { ready, allBack, lostTails, ...rest } = report;
  const figures = (list: readonly number[]) => ({ n: list.length, p50: percentile(list, 50), p99: percentile(list, 99), max: list.at(-1) });
  console.log(JSON.stringify({ ...rest, ready: figures(ready), allBack: figures(allBack), lostTails: figures(lostTails) }, null, 1));
  expect(report.complaints).toEqual([]);
  expect(report.findings).toEqual(SOUND_FINAL);
  expect(report.kills).toEqual({ streaming: 100, starting: 20 });
  expect(ready.length).toBeGreaterThan(50);
  expect(ready.at(-1)).toBeLessThan(1000);
}, 400_000);

test('ST-3 the same check catches a gateway that acknowledges 50 ms before it commits', async () => {
  using dir = tempDir();
  const { seed } = seeded('gateway kill loop, acknowledged early on purpose');
  const report = await crashLoop({ dir: dir.path, seed, kills: 30, startKills: 0, clients: 8, program: EARLY, untilLost: true });
  console.log(JSON.stringify({ kills: report.kills, findings: report.findings, complaints: report.complaints }));
  expect(report.findings.lost.length).toBeGreaterThan(0);
});
