import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { connect, newDevice } from '../support/wire.ts';

/** A product of its own, which can be upgraded while it runs. */
const product = mkdtempSync(join(tmpdir(), 'ocg-product-'));
beforeAll(() => {
  for (const part of ['bin', 'dist', 'assets', 'package.json']) cpSync(join(ROOT, part), join(product, part), { recursive: true });
});
afterAll(() => rmSync(product, { recursive: true, force: true }));

/** What an upgrade leaves: another entry, another build id. */
function upgrade(marker: string): void {
  const manifest = join(product, 'dist', 'build.json');
  const { buildId, ...rest } = JSON.parse(readFileSync(manifest, 'utf8')) as { buildId: string };
  const newer = `${buildId.slice(1)}${buildId.slice(0, 1)}`;
  const entry = join(product, 'dist', 'cli.cjs');
  writeFileSync(entry, `${marker};${readFileSync(entry, 'utf8')}`);
  writeFileSync(manifest, JSON.stringify({ buildId: newer, ...rest }));
}

test.skipIf(process.platform === 'win32')('WS-32 a restart goes on as the build that lies on disk, under the same process id', async () => {
  await using gateway = await startTestGateway({ program: join(product, 'bin', 'openclaw.js') });
  const listened = (): number => gateway.output().split('listening on ws://127.0.0.1').length - 1;
  const { pid } = gateway.child;

  gateway.child.kill('SIGUSR1');
  await until(() => listened() === 2);
  expect(gateway.output()).not.toContain('the newer build');

  upgrade("process.exitCode = 1; throw new Error('a build that does not start')");
  gateway.child.kill('SIGUSR1');
  await until(() => listened() === 3);
  expect([gateway.child.pid, gateway.child.exitCode]).toEqual([pid, null]);

  cpSync(join(ROOT, 'dist', 'cli.cjs'), join(product, 'dist', 'cli.cjs'));
  upgrade("process.stderr.write('the newer build\\n')");
  gateway.child.kill('SIGUSR1');
  await until(() => listened() === 4);
  expect(gateway.output()).toContain('the newer build');
  expect([gateway.child.pid, gateway.child.exitCode]).toEqual([pid, null]);
  const port = Number(/listening on ws:\/\/127\.0\.0\.1:(\d+) /.exec(gateway.output().split('the newer build').at(-1) ?? '')?.[1]);
  await using client = await connect(`ws://127.0.0.1:${port}/`, { device: newDevice(), auth: { token: gateway.token() } });
  expect(await client.call('health')).toMatchObject({ ok: true });
  expect(await gateway.stop()).toEqual({ code: 0, signal: null });
});
