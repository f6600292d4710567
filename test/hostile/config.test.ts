import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { connect } from '../support/wire.ts';
import { BOUNDS, startWatchedGateway, type WatchedGateway } from './support/attack.ts';

const times = (count: number, make: (i: number) => string, separator = ',\n'): string =>
  Array.from({ length: count }, (_, i) => make(i)).join(separator);

/** Puts a text in place of the config in one step, as editors and our own commands do, and waits until the gateway has said what it thinks of it. */
async function reload(gateway: WatchedGateway, text: string, says: RegExp): Promise<void> {
  const logs = join(gateway.stateDir, 'gateway', 'logs');
  const said = (): string =>
    readdirSync(logs)
      .map((name) => readFileSync(join(logs, name), 'utf8'))
      .join('');
  const before = said().length;
  const file = join(gateway.stateDir, 'openclaw.json');
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  await until(() => says.test(said().slice(before)), 20_000);
}

/** Over the bound: refused before anything is parsed. */
const REFUSED: readonly [string, string][] = [
  ['230,000 keys', `{plugins:{${times(230_000, (i) => `key${i}: "value"`)}}}`],
  ['a million empty lists', `{plugins:{a:[${times(1_000_000, () => '[]', ',')}]}}`],
  ['a deep nest', `{plugins:{a:${'['.repeat(500_000)}${']'.repeat(500_000)}}}`],
  ['comments', `{\n${times(400_000, () => '//token: abc', '\n')}\n}`],
  ['plain JSON', JSON.stringify({ plugins: Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`k${i}`, 'v'])) })],
  ['references to variables', `{plugins:{a:"${'$'.concat('{HOME}').repeat(600_000)}"}}`],
];

/** Within the bound, and as hard to read as that allows. */
const TAKEN: readonly [string, (n: number) => string][] = [
  [
    'keys that nobody knows',
    (n) =>
      `{hooks:{path:"/h${n}"},gateway:{reload:{mode:"hot"}},unknown${n}:{${times(9_800, (i) => `unknownkey${i}: "value ${n} ${i}"`)}}}`,
  ],
  ['misspelt names', (n) => `{hooks:{path:"/h${n}"},gateway:{reload:{mode:"hot"},${times(9_700, (i) => `trustedProxie${i}: ${n}`)}}}`],
  [
    'variables',
    (n) =>
      `{hooks:{path:"/h${n}"},gateway:{reload:{mode:"hot"}},env:{vars:{${times(9_700, (i) => `NAME_${i}: "a secret value ${n} ${i}"`)}}}}`,
  ],
  ['agents', (n) => `{hooks:{path:"/h${n}"},gateway:{reload:{mode:"hot"}},agents:{list:[${times(4_500, (i) => `{id:"a${n}x${i}"}`)}]}}`],
  ['line ends', (n) => `{hooks:{path:"/h${n}"},gateway:{reload:{mode:"hot"}},plugins:{a:${n}}${'\n'.repeat(4_900_000)}}`],
  ['one long text', (n) => `{hooks:{path:"/h${n}"},gateway:{reload:{mode:"hot"}},plugins:{a:'${n}${'sk-a '.repeat(900_000)}'}}`],
];

test('CF-41: a config of too many parts is refused in no time, and the old one stays', async () => {
  await using gateway = await startWatchedGateway({ config: '{}' });
  for (const [name, text] of REFUSED) {
    const figures = await gateway.under(`a config of ${name}, ${(text.length / 1e6).toFixed(1)} MB`, () =>
      reload(gateway, text, /was not taken over/),
    );
    expect(figures.lag.worst, name).toBeLessThanOrEqual(BOUNDS.lagWorstMs);
    expect(figures.peakMiB, name).toBeLessThanOrEqual(BOUNDS.rssMiB);
    await reload(gateway, `{ plugins: { a: ${Math.random()} }, gateway: { reload: { mode: "hot" } } }`, /taken over|wait for a restart/);
  }
});

test('CF-42: a config within the bounds is taken over in slices', async () => {
  await using gateway = await startWatchedGateway({ config: '{ gateway: { reload: { mode: "hot" } } }' });
  for (const [n, [name, make]] of TAKEN.entries()) {
    const text = make(n);
    const figures = await gateway.under(`a config of ${name}, ${(text.length / 1e6).toFixed(1)} MB`, () =>
      reload(gateway, text, /taken over|wait for a restart/),
    );
    expect(figures.lag.worst, name).toBeLessThanOrEqual(BOUNDS.lagWorstMs);
    expect(figures.peakMiB, name).toBeLessThanOrEqual(BOUNDS.rssMiB);
  }
});

test.each(TAKEN)('CF-42: config.get of a config of %s is made in slices, and once for all who ask', async (name, make) => {
  await using gateway = await startWatchedGateway({ config: make(0) });
  const client = await connect(gateway.url, { auth: { token: gateway.token() } });
  const figures = await gateway.under(`config.get of a config of ${name}, 20 times`, async () => {
    for (let i = 0; i < 20; i++) expect((await client.request('config.get', {})).type).toBe('res');
  });
  await client[Symbol.asyncDispose]();
  expect(figures.lag.worst).toBeLessThanOrEqual(BOUNDS.lagWorstMs);
  expect(figures.peakMiB).toBeLessThanOrEqual(BOUNDS.rssMiB);
});

test('CF-41: includes count together: neither a hundred large files nor one that is named a hundred times', async () => {
  await using gateway = await startWatchedGateway({ config: '{}' });
  const large = `{ ${times(2_000, (i) => `k${i}: "${'x'.repeat(900)}"`)} }`;
  for (let i = 0; i < 99; i++) writeFileSync(join(gateway.stateDir, `part${i}.json`), large.replaceAll('k', `k${i}x`), { mode: 0o600 });
  for (const [name, names] of [
    ['99 files of 1.8 MB', times(99, (i) => `"./part${i}.json"`)],
    ['one file of 1.8 MB, 99 times', times(99, () => '"./part0.json"')],
  ] as const) {
    const figures = await gateway.under(name, () => reload(gateway, `{ plugins: { $include: [${names}] } }`, /was not taken over/));
    expect(figures.lag.worst, name).toBeLessThanOrEqual(BOUNDS.lagWorstMs);
    expect(figures.peakMiB, name).toBeLessThanOrEqual(BOUNDS.rssMiB);
    await reload(gateway, `{ plugins: { a: ${Math.random()} }, gateway: { reload: { mode: "hot" } } }`, /taken over|wait for a restart/);
  }
});
