/**
 * Sums vitest's JSON reports into one closing line, `N passed, N failed, N skipped`, after naming what failed or was skipped.
 * Exits 1 when anything failed (a file that did not load counts), when an end-to-end or hostile test was skipped although it
 * is CI, where all that those need is installed, or when no test ran at all.
 *
 *     node scripts/ci-summary.ts DIR             sums DIR/<suite>.json; a file of DIR/again/ replaces what the first run said of it
 *     node scripts/ci-summary.ts DIR --failed    prints the files that failed, one a line
 *
 * A file that failed and passed when it was run once more by itself is named as flaky: mended first next time.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

interface FileResult {
  readonly name: string;
  readonly status: string;
  readonly message?: string;
  readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
}

const [dir = '.', flag] = process.argv.slice(2);
const inCi = process.env['CI'] === 'true';

const resultsIn = (from: string): FileResult[] =>
  !existsSync(from)
    ? []
    : readdirSync(from)
        .filter((name) => name.endsWith('.json'))
        .flatMap((name) => (JSON.parse(readFileSync(path.join(from, name), 'utf8')) as { testResults: FileResult[] }).testResults);
const hasFailed = ({ status, assertionResults }: FileResult): boolean =>
  status === 'failed' || assertionResults.some((test) => test.status === 'failed');

const first = resultsIn(dir);
if (flag === '--failed') {
  for (const { name } of first.filter(hasFailed)) console.log(path.relative(process.cwd(), name));
  process.exit(0);
}

const again = new Map(resultsIn(path.join(dir, 'again')).map((file) => [file.name, file]));
const sum = { passed: 0, failed: 0, skipped: 0 };
let incomplete = false;
for (const before of first) {
  const file = again.get(before.name) ?? before;
  if (hasFailed(before) && !hasFailed(file)) {
    console.log(`flaky: ${before.name}`);
    for (const test of before.assertionResults) if (test.status === 'failed') console.log(`    failed at first: ${test.fullName}`);
  }
  for (const test of file.assertionResults) {
    const outcome = test.status === 'passed' ? 'passed' : test.status === 'failed' ? 'failed' : 'skipped';
    sum[outcome]++;
    if (outcome === 'skipped' && inCi && /\/test\/(e2e|hostile)\//.test(file.name)) incomplete = true;
    if (outcome !== 'passed') console.log(`${outcome}: ${test.fullName} (${file.name})`);
  }
  if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
    sum.failed++;
    console.log(`failed to run: ${file.name}: ${file.message ?? ''}`);
  }
}

console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed > 0 || sum.passed === 0 || incomplete ? 1 : 0;
