/**
 * Sums vitest's JSON reports (paths as arguments) into one closing line, `N passed, N failed, N skipped`, after naming what
 * failed or was skipped. Exits 1 when anything failed (a file that did not load counts), when an end-to-end test was skipped
 * although it is CI, where all that those need is installed, or when no test ran at all.
 */
import { readFileSync } from 'node:fs';

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const inCi = process.env['CI'] === 'true';
let incomplete = false;
const sum = { passed: 0, failed: 0, skipped: 0 };
for (const path of process.argv.slice(2)) {
  const report = JSON.parse(readFileSync(path, 'utf8')) as Report;
  for (const file of report.testResults) {
    for (const test of file.assertionResults) {
      const outcome = test.status === 'passed' ? 'passed' : test.status === 'failed' ? 'failed' : 'skipped';
      sum[outcome]++;
      if (outcome === 'skipped' && inCi && file.name.includes('/test/e2e/')) incomplete = true;
      if (outcome !== 'passed') console.log(`${outcome}: ${test.fullName} (${file.name})`);
    }
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      sum.failed++;
      console.log(`failed to run: ${file.name}: ${file.message ?? ''}`);
    }
  }
}

console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed > 0 || sum.passed === 0 || incomplete ? 1 : 0;
