/**
 * `npm run check`: everything that can be said about the tree without starting the product, each step with its time.
 * No step stops the next, so that one run shows all there is to mend; the exit code is 1 when any failed.
 * `--without-tests`: for who has just run them.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');
const BIN = path.join(ROOT, 'node_modules', '.bin');

const STEPS: readonly { name: string; command: readonly string[] }[] = [
  { name: 'format and lint', command: ['biome', 'check', '--error-on-warnings'] },
  { name: 'types', command: ['tsc', '-p', 'tsconfig.json'] },
  { name: 'types of what must stay pure', command: ['tsc', '-p', 'tsconfig.pure.json'] },
  { name: 'unused code and dependencies', command: ['knip'] },
  // Walls, docs and package files are unit tests too: test/*.test.ts.
  ...(process.argv.includes('--without-tests')
    ? []
    : [{ name: 'walls, docs, unit tests', command: ['vitest', 'run', '--project', 'unit'] }]),
];

const failed = STEPS.filter(({ name, command: [program = '', ...args] }) => {
  const started = performance.now();
  const { status, stdout, stderr, error } = spawnSync(path.join(BIN, program), args, {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 10 * 60_000,
  });
  const ok = status === 0;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  if (!ok) console.log(error?.message ?? `${stdout}${stderr}`.trim().replaceAll(/^/gm, '    '));
  return !ok;
});

if (failed.length > 0) {
  console.log(`\n${failed.length} of ${STEPS.length} steps failed: ${failed.map(({ name }) => name).join('; ')}`);
  process.exitCode = 1;
}
