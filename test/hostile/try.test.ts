import { test } from 'vitest';
import { startAgainstHostile } from './support/runs.ts';

test('try', async () => {
  await using gateway = await startAgainstHostile(16);
  await using crowd = await gateway.crowd(Number(process.env['N'] ?? 3), Number(process.env['P'] ?? 4) as 4);
  for (const what of (process.env['WHAT'] ?? 'text').split(',')) {
    const times = Number(process.env['TIMES'] ?? 1);
    await gateway.under(what, async () => {
      const ends = await Promise.all(Array.from({ length: times }, () => crowd.ask(`HOSTILE:${what}`)));
      console.log(JSON.stringify(ends[0]));
    });
  }
});
