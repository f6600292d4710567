import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

/** MiB of the young space after work that keeps much alive, in a process of its own. */
function youngMiB(before: string): number {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8';
    import { keepYoungHeapSmall } from ${JSON.stringify(`${import.meta.dirname}/young-heap.ts`)};
    ${before};
    let kept = [];
    for (let i = 0; i < 1e6; i++) { kept.push({ i }); if (kept.length > 1e5) kept = kept.slice(5e4); }
    console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size / 2 ** 20);`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }));
}

test('the young heap grows by itself, and no more once it was told so', () => {
  expect(youngMiB('')).toBeGreaterThan(16);
  expect(youngMiB('keepYoungHeapSmall()')).toBeLessThanOrEqual(8);
});
