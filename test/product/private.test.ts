import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newStateDir, runCli, startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

/** All of `<state>/gateway` that somebody else could read, write or enter. */
function lax(stateDir: string): string[] {
  return readdirSync(join(stateDir, 'gateway'), { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const file = join(entry.parentPath, entry.name);
    // A socket, a log that is turned over: gone between the list and the look.
    const stat = lstatSync(file, { throwIfNoEntry: false });
    const bits = stat === undefined || stat.isSymbolicLink() ? 0 : stat.mode & 0o077;
    return bits === 0 ? [] : [`${file.slice(stateDir.length)} ${(stat?.mode ?? 0).toString(8)}`];
  });
}

const under = (umask: string): string[] => ['/bin/sh', '-c', `umask ${umask}; exec "$0" "$@"`];

test.skipIf(process.platform === 'win32').each(['000', '022', '077', '0377'])(
  'CF-57 under umask %s all that is ours is 0700 or 0600, whoever made it',
  async (umask) => {
    const wrap = under(umask);
    await using gateway = await startTestGateway({ wrap });
    const { stateDir } = gateway;
    const env = gateway.env();
    const cli = (...args: string[]) => runCli(args, { env, wrap });
    expect((await cli('health')).code).toBe(0);
    expect((await cli('config', 'set', 'logging.level', 'debug')).code).toBe(0);
    expect((await cli('models')).code).toBe(0);
    expect((await cli('agent', '-m', 'hello')).code).toBe(0);
    // By URL, with a device of its own.
    const token = gateway.token();
    const remote = { ...env, OPENCLAW_GATEWAY_URL: gateway.url, OPENCLAW_GATEWAY_TOKEN: token };
    await runCli(['sessions'], { env: remote, wrap });
    expect(lax(stateDir)).toEqual([]);
    gateway.child.kill('SIGUSR1');
    await until(() => gateway.output().split('listening on ws://127.0.0.1:').length === 3);
    expect((await cli('chat', '-m', 'hello')).code).toBeLessThan(3);
    expect(lax(stateDir)).toEqual([]);
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
    expect(lax(stateDir)).toEqual([]);
    expect(readdirSync(join(stateDir, 'gateway'))).toEqual(expect.arrayContaining(['client-device.json', 'compile-cache', 'config.lock']));
  },
);

test.skipIf(process.platform === 'win32')('CF-56 what an earlier version left laxer is tightened at the start', async () => {
  const stateDir = newStateDir();
  const ours = join(stateDir, 'gateway');
  mkdirSync(join(ours, 'compile-cache', 'v24', 'deep'), { recursive: true });
  writeFileSync(join(ours, 'compile-cache', 'v24', 'deep', 'code'), '');
  writeFileSync(join(ours, 'config.lock'), '');
  for (const each of ['compile-cache', 'compile-cache/v24', 'compile-cache/v24/deep']) chmodSync(join(ours, each), 0o777);
  for (const each of ['compile-cache/v24/deep/code', 'config.lock']) chmodSync(join(ours, each), 0o666);
  chmodSync(ours, 0o755);
  await using gateway = await startTestGateway({ stateDir });
  expect(lax(stateDir)).toEqual([]);
  await gateway.stop();
  rmSync(stateDir, { recursive: true, force: true });
});
