/**
 * `npm run bench [-- NAME… [--json FILE]]`: one script per figure, each measured against a floor of the same run. Prints a
 * table as it goes. Exits 1 when a budget is not kept. Linux, on a machine that does nothing else.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Row } from './row.ts';

const SCRIPTS: Readonly<Record<string, () => Promise<{ run(): Promise<Row[]> }>>> = {
  start: () => import('./start.ts'),
  cli: () => import('./cli.ts'),
  handshakes: () => import('./handshakes.ts'),
  rpc: () => import('./rpc.ts'),
  'idle-connections': () => import('./idle-connections.ts'),
  'v1-overhead': () => import('./v1-overhead.ts'),
  append: () => import('./append.ts'),
};

const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' } } });
const unknown = positionals.filter((name) => !(name in SCRIPTS));
if (unknown.length > 0) throw new Error(`no such bench: ${unknown.join(', ')}; there are ${Object.keys(SCRIPTS).join(', ')}`);

const machine = `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown CPU'}, Node ${process.versions.node}, ${process.platform}`;
console.log(machine);
const rows: Row[] = [];
for (const [name, load] of Object.entries(SCRIPTS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  for (const row of await (await load()).run()) {
    rows.push(row);
    console.log(line(row));
  }
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
process.exitCode = rows.some(({ ok }) => ok === false) ? 1 : 0;

function line({ figure, value, unit, floor, ratio, budget, ok }: Row): string {
  const mark = ok === undefined ? ' ' : ok ? '✓' : '✗';
  const measured = `${value} ${unit}`;
  const against = floor === undefined ? '' : `floor ${floor}${ratio === undefined ? '' : `, ratio ${ratio}`}`;
  return `${mark} ${figure.padEnd(52)} ${measured.padEnd(28)} ${against.padEnd(30)} ${budget}`;
}
