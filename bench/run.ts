/**
 * `npm run bench [-- --only NAME]… [--quick] [--json]`: one script per figure, each against a floor of the same run.
 * Prints a table as it goes, or one JSON text at the end. It measures, it does not judge a change: exits 0 whatever it
 * found. Linux, built product, and a machine that does nothing else.
 */
import { existsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { ROOT } from '../test/support/gateway.ts';
import type { BenchOptions, Row } from './row.ts';

const SCRIPTS: Readonly<Record<string, () => Promise<{ run(options: BenchOptions): Promise<Row[]> }>>> = {
  start: () => import('./start.ts'),
  cli: () => import('./cli.ts'),
  handshakes: () => import('./handshakes.ts'),
  rpc: () => import('./rpc.ts'),
  'idle-connections': () => import('./idle-connections.ts'),
  events: () => import('./events.ts'),
  v1: () => import('./v1.ts'),
  append: () => import('./append.ts'),
};

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const unknown = values.only.filter((name) => !Object.hasOwn(SCRIPTS, name));
if (unknown.length > 0) throw new Error(`no such bench: ${unknown.join(', ')}; there are ${Object.keys(SCRIPTS).join(', ')}`);
if (process.platform !== 'linux') throw new Error('the bench reads /proc: it runs on Linux');
if (!existsSync(`${ROOT}/dist/cli.cjs`)) throw new Error('build it first: npm run build');

const machine = `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown CPU'}, Node ${process.versions.node}, ${process.platform}`;
const rows: Row[] = [];
if (!values.json)
  console.log(`${machine}\n${line({ figure: 'figure', value: 'value', against: 'floor', ratio: 'ratio', budget: 'budget', mark: '' })}`);
for (const [name, load] of Object.entries(SCRIPTS)) {
  if (values.only.length > 0 && !values.only.includes(name)) continue;
  for (const row of await (await load()).run({ quick: values.quick })) {
    rows.push(row);
    if (!values.json) console.log(line(texts(row)));
  }
}
if (values.json) console.log(JSON.stringify({ machine, quick: values.quick, rows }, null, 2));

function texts({ figure, value, unit, floor, ratio, budget, verdict }: Row): Parameters<typeof line>[0] {
  const text = (number: number | undefined): string => (number === undefined ? '' : number.toLocaleString('en'));
  return { figure, value: `${text(value)} ${unit}`, against: text(floor), ratio: text(ratio), budget, mark: verdict ?? '' };
}

function line(cells: { figure: string; value: string; against: string; ratio: string; budget: string; mark: string }): string {
  const { figure, value, against, ratio, budget, mark } = cells;
  return `${figure.padEnd(50)} ${value.padStart(24)} ${against.padStart(10)} ${ratio.padStart(7)}   ${budget.padEnd(36)} ${mark}`.trimEnd();
}
