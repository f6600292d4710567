import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newStateDir, productEnv, runCli, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type Host, openTunnel, type Sshd, sshMissing, startSshd, type TwoHosts, twoHosts } from '../support/hosts.ts';
import { startScriptedProvider } from '../support/scripted-provider.ts';

const missing = sshMissing();
const NEIGHBOUR = 'ocgneighbour';

/** The snippet that every guide prints, block form and trailing commas as they are pasted. */
const SNIPPET = `{
  gateway: {
    mode: "remote",
    remote: {
      url: "ws://127.0.0.1:18789",
      token: "your-token",
    },
  },
}
`;

describe.skipIf(missing !== undefined)(`plain SSH between two hosts${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let hosts: TwoHosts;
  let sshd: Sshd;
  let madeUser = false;

  beforeAll(async () => {
    hosts = twoHosts();
    try {
      execFileSync('id', [NEIGHBOUR], { stdio: 'ignore' });
    } catch {
      execFileSync('useradd', ['--system', '--create-home', '--shell', '/bin/sh', NEIGHBOUR]);
      // A locked password would keep sshd from accepting its key.
      execFileSync('usermod', ['-p', '*', NEIGHBOUR]);
      madeUser = true;
    }
    sshd = await startSshd(hosts.server, { name: NEIGHBOUR, home: `/home/${NEIGHBOUR}`, uid: 0 });
  });
  afterAll(async () => {
    await sshd?.[Symbol.asyncDispose]();
    await hosts?.[Symbol.asyncDispose]();
    if (madeUser) execFileSync('userdel', ['--remove', NEIGHBOUR], { stdio: 'ignore' });
  });

  /** A laptop with this config and nothing else. */
  const laptopEnv = (config: string): Record<string, string> => {
    const dir = newStateDir();
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'openclaw.json'), config, { mode: 0o600 });
    return productEnv(dir);
  };
  const onLaptop = (args: readonly string[], env: Readonly<Record<string, string>>, input?: string) =>
    runCli(args, { env, wrap: hosts.laptop.on, timeoutMs: 30_000, ...(input !== undefined && { input }) });
  const gatewayOn = (host: Host, config: string): Promise<TestGateway> =>
    startTestGateway({ wrap: host.on, config, flags: ['--port', portOf(config)] });
  const portOf = (config: string): string => /port: (\d+)/.exec(config)?.[1] ?? '18789';

  const walk = async (env: Readonly<Record<string, string>>): Promise<void> => {
    const health = await onLaptop(['health'], env);
    expect(health, health.stderr).toMatchObject({ code: 0 });
    const deep = await onLaptop(['status', '--deep', '--json'], env);
    expect(deep, deep.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(deep.stdout)).toMatchObject({ ok: true });
    const chat = await onLaptop(['chat'], env, 'TEST:text hello from the gateway\n');
    expect(chat, chat.stderr).toMatchObject({ code: 0 });
    expect(chat.stdout).toContain('hello from the gateway');
  };

  const config = (port: number, provider: string, token = 'your-token'): string => `{
    gateway: { port: ${port}, auth: { token: "${token}" } },
    models: { providers: { stub: { baseUrl: "${provider}", apiKey: "k", models: [{ id: "m", contextWindow: 32000 }] } } },
    agents: { defaults: { model: "stub/m" } },
  }`;

  test('CL-22 the snippet of the guides pasted verbatim: health, status --deep and chat through ssh -N -L', async () => {
    await using provider = await startScriptedProvider({ seed: 1, wrap: hosts.server.on });
    await using gateway = await gatewayOn(hosts.server, config(18789, provider.url));
    await using _tunnel = await openTunnel(hosts.laptop, sshd, hosts.server, '18789:127.0.0.1:18789');
    const env = laptopEnv(SNIPPET);
    await walk(env);
    // The SSH login is the first factor: the same user's new device was paired at once.
    const list = await runCli(['devices', 'list', '--json'], { env: gateway.env(), wrap: hosts.server.on });
    expect(JSON.parse(list.stdout)).toMatchObject({ ok: true, pending: [] });
  });

  test.each(['18789', '28789'])('CL-22 gateway.port 28789, the laptop side of -L %s', async (local) => {
    await using provider = await startScriptedProvider({ seed: 2, wrap: hosts.server.on });
    await using _gateway = await gatewayOn(hosts.server, config(28789, provider.url));
    await using _tunnel = await openTunnel(hosts.laptop, sshd, hosts.server, `${local}:127.0.0.1:28789`);
    await walk(laptopEnv(SNIPPET.replace('18789', local)));
  });

  test('AU-41 another user of the gateway machine gets read and write at once and the rest pending', async () => {
    await using provider = await startScriptedProvider({ seed: 3, wrap: hosts.server.on });
    await using gateway = await gatewayOn(hosts.server, config(18789, provider.url));
    await using _tunnel = await openTunnel(hosts.laptop, sshd, hosts.server, '18789:127.0.0.1:18789', NEIGHBOUR);
    const env = laptopEnv(SNIPPET);
    await walk(env);
    const refused = await onLaptop(['devices', 'list'], env);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('missing scope: operator.pairing');
    expect(refused.stderr).toContain('openclaw devices');
    const list = JSON.parse((await runCli(['devices', 'list', '--json'], { env: gateway.env(), wrap: hosts.server.on })).stdout);
    expect(list.pending).toHaveLength(1);
    expect(list.pending[0]).toMatchObject({ reason: 'scope-upgrade' });
    const approve = await runCli(['devices', 'approve'], { env: gateway.env(), wrap: hosts.server.on });
    expect(approve, approve.stderr).toMatchObject({ code: 0 });
    expect(await onLaptop(['devices', 'list'], env)).toMatchObject({ code: 0 });
  });

  test('CL-23 --url without credentials is refused before any connection', async () => {
    await using _provider = await startScriptedProvider({ seed: 4, wrap: hosts.server.on });
    const started = performance.now();
    const refused = await onLaptop(['health', '--url', 'ws://127.0.0.1:18789'], laptopEnv(SNIPPET));
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/--token/);
    // Nothing listens on the laptop: an attempt would have said so.
    expect(refused.stderr).not.toMatch(/ECONNREFUSED|timeout/i);
    const plain = await onLaptop(['health', '--url', 'ws://10.86.0.1:18789', '--token', 'x'], laptopEnv(SNIPPET));
    expect(plain.stderr).toContain('SECURITY ERROR');
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('CL-22 no secret in the process list or in the output of status', async () => {
    await using provider = await startScriptedProvider({ seed: 5, wrap: hosts.server.on });
    const token = 'tok-0123456789abcdef0123456789';
    await using gateway = await gatewayOn(hosts.server, config(18789, provider.url, token));
    await using _tunnel = await openTunnel(hosts.laptop, sshd, hosts.server, '18789:127.0.0.1:18789');
    const env = laptopEnv(SNIPPET.replace('your-token', token));
    const deep = await onLaptop(['status', '--deep', '--all'], env);
    expect(deep.stdout + deep.stderr + gateway.output()).not.toContain(token);
    expect(readFileSync(`/proc/${gateway.child.pid}/cmdline`, 'utf8')).not.toContain(token);
  });
});
