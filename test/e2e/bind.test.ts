import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newStateDir, productEnv, runCli, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { hostsMissing, type TwoHosts, twoHosts } from '../support/hosts.ts';
import { until } from '../support/until.ts';

const missing = hostsMissing();
const TOKEN = 'tok-0123456789abcdef-0123456789';
const TAILNET = '100.101.102.103';

describe.skipIf(missing !== undefined)(`binds on a machine of its own${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let hosts: TwoHosts;
  beforeAll(() => {
    hosts = twoHosts();
    ip('link', 'add', 'tailscale0', 'type', 'veth', 'peer', 'name', 'far');
    ip('link', 'set', 'far', 'up');
    ip('link', 'set', 'tailscale0', 'up');
  });
  afterAll(() => hosts?.[Symbol.asyncDispose]());

  const ip = (...args: string[]): void => void execFileSync('ip', ['-n', hosts.server.name, ...args]);
  const on = (bind: string, more = ''): Promise<TestGateway> =>
    startTestGateway({
      wrap: hosts.server.on,
      config: `{ gateway: { port: 18789, bind: "${bind}", ${more} auth: { token: "${TOKEN}" } } }`,
      flags: ['--port', '18789'],
    });
  const cli = (gateway: TestGateway, ...args: string[]) => runCli(args, { env: gateway.env(), wrap: hosts.server.on });
  const answers = (address: string): boolean => {
    try {
      execFileSync('ip', [
        'netns',
        'exec',
        hosts.server.name,
        'curl',
        '-s',
        '--max-time',
        '2',
        '-o',
        '/dev/null',
        `http://${address}:18789/healthz`,
      ]);
      return true;
    } catch {
      return false;
    }
  };

  test('NET-9 NET-11 tailnet without an address listens nowhere, takes it when it comes, follows it, and never answers on loopback', async () => {
    const stateDir = newStateDir();
    mkdirSync(stateDir, { recursive: true });
    writeFileSync(join(stateDir, 'openclaw.json'), `{ gateway: { port: 18789, bind: "tailnet", auth: { token: "${TOKEN}" } } }`, {
      mode: 0o600,
    });
    // It waits: there is no "listening" to wait for, so it is started by hand.
    const { spawn } = await import('node:child_process');
    const env = productEnv(stateDir);
    const argv = [...hosts.server.on, process.execPath, join(import.meta.dirname, '..', '..', 'bin', 'openclaw.js'), 'gateway', 'run'];
    const child = spawn(argv[0] as string, argv.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    try {
      await until(() => said.includes('waiting for a tailnet address'));
      expect(answers('127.0.0.1')).toBe(false);
      const status = await runCli(['status', '--json'], { env, wrap: hosts.server.on });
      expect(status.stdout).toContain('waiting');
      expect(await runCli(['health'], { env, wrap: hosts.server.on })).toMatchObject({ code: 0 });

      ip('addr', 'add', `${TAILNET}/32`, 'dev', 'tailscale0');
      await until(() => answers(TAILNET), 10_000);
      expect(answers('127.0.0.1')).toBe(false);
      expect(answers(hosts.server.address)).toBe(false);
      // The local CLI dials the tailnet address, as one of this very host.
      const deep = await runCli(['status', '--deep', '--json'], { env, wrap: hosts.server.on });
      expect(deep, deep.stdout + deep.stderr).toMatchObject({ code: 0 });
      expect(deep.stdout).toContain(`${TAILNET}:18789`);
      expect(await runCli(['health', '--token', TOKEN], { env, wrap: hosts.server.on })).toMatchObject({ code: 0 });

      ip('addr', 'del', `${TAILNET}/32`, 'dev', 'tailscale0');
      ip('addr', 'add', '100.101.102.104/32', 'dev', 'tailscale0');
      await until(() => answers('100.101.102.104'), 10_000);
    } finally {
      child.kill('SIGKILL');
      ip('addr', 'flush', 'dev', 'tailscale0');
    }
  });

  test('NET-7 NET-8 NET-10 loopback answers here alone; lan and custom answer where they say, and the local CLI finds them', async () => {
    const fromLaptop = (): boolean => {
      try {
        execFileSync('ip', [
          'netns',
          'exec',
          hosts.laptop.name,
          'curl',
          '-s',
          '--max-time',
          '2',
          '-o',
          '/dev/null',
          `http://${hosts.server.address}:18789/healthz`,
        ]);
        return true;
      } catch {
        return false;
      }
    };
    {
      await using _gateway = await on('loopback');
      expect([answers('127.0.0.1'), fromLaptop()]).toEqual([true, false]);
    }
    {
      await using gateway = await on('lan');
      expect([answers('127.0.0.1'), fromLaptop()]).toEqual([true, true]);
      expect(await cli(gateway, 'health', '--token', TOKEN)).toMatchObject({ code: 0 });
    }
    {
      await using gateway = await on('custom', `customBindHost: "${hosts.server.address}",`);
      expect([answers('127.0.0.1'), fromLaptop()]).toEqual([false, true]);
      expect(await cli(gateway, 'health', '--token', TOKEN)).toMatchObject({ code: 0 });
    }
  });

  test('NET-14 NET-15 what other machines could reach does not start without a strong secret', async () => {
    for (const auth of [
      '',
      'auth: { token: "changeme" }',
      'auth: { mode: "none" }',
      'auth: { password: "short" }',
      `auth: { token: "${'$'}{UNSET_VARIABLE}" }`,
    ]) {
      await expect(startTestGateway({ wrap: hosts.server.on, config: `{ gateway: { bind: "lan", ${auth} } }` }), auth).rejects.toThrow(
        /Fix:/,
      );
    }
  });
});
