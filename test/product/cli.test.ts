import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { newStateDir, productEnv, ROOT, runCli, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type ScriptedProvider, startScriptedProvider } from '../support/scripted-provider.ts';
import { until } from '../support/until.ts';

type Json = Record<string, unknown>;
const providerConfig = (provider: ScriptedProvider): string => `{
  gateway: { mode: "local" },
  models: { providers: { script: { baseUrl: "${provider.url}", apiKey: "k", api: "openai-completions", models: [{ id: "m", name: "M" }] } } },
  agents: { defaults: { model: "script/m" } },
}`;

describe('the command line against a real gateway', () => {
  let provider: ScriptedProvider;
  let gateway: TestGateway;
  beforeAll(async () => {
    provider = await startScriptedProvider();
    gateway = await startTestGateway({ config: providerConfig(provider) });
  });
  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    await provider[Symbol.asyncDispose]();
  });

  const own = (args: readonly string[], input?: string, extra: Record<string, string> = {}) =>
    runCli(args, {
      env: { ...gateway.env(), OPENCLAW_GATEWAY_PORT: String(gateway.port), ...extra },
      ...(input === undefined ? {} : { input }),
    });
  /** Another machine's state dir, with this config. */
  const elsewhere = (config?: string): Record<string, string> => {
    const dir = newStateDir();
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    if (config !== undefined) writeFileSync(join(dir, 'openclaw.json'), config, { mode: 0o600 });
    return productEnv(dir);
  };
  const json = (text: string): Json => JSON.parse(text) as Json;

  test('CL-22 CL-21 health through the admin socket, and by URL with the token', async () => {
    const near = await own(['health', '--json']);
    expect(near).toMatchObject({ code: 0, stderr: '' });
    expect(json(near.stdout)).toMatchObject({ ok: true, via: { source: 'admin socket' } });
    const far = await runCli(['health', '--url', gateway.url, '--token', gateway.token(), '--json'], { env: elsewhere() });
    expect(json(far.stdout)).toMatchObject({ ok: true, via: { source: 'cli --url', url: gateway.url } });
  });

  test('CL-26 a wrong token: exit 4, the fix, and neither token in what is printed', async () => {
    const wrong = 'wrong-token-wrong-token-wrong';
    const result = await runCli(['health', '--url', gateway.url, '--token', wrong], { env: elsewhere() });
    expect(result.code).toBe(4);
    expect(result.stderr).toContain('openclaw auth token --show');
    expect(result.stdout + result.stderr).not.toContain(wrong);
    expect(result.stdout + result.stderr).not.toContain(gateway.token());
  });

  test('CL-23 --url without credentials opens no connection', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const env = { ...elsewhere(), OPENCLAW_GATEWAY_TOKEN: 'env-token-env-token-env-token' };
    for (const command of [
      ['health'],
      ['status', '--deep'],
      ['agent', '-m', 'x'],
      ['chat'],
      ['devices'],
      ['gateway', 'call', 'health'],
      ['logs'],
    ]) {
      const result = await runCli([...command, '--url', `ws://127.0.0.1:${port}`], { env });
      expect(result.code, command.join(' ')).not.toBe(0);
    }
    expect(connections).toBe(0);
    expect((await runCli(['health', '--url', `ws://127.0.0.1:${port}`], { env })).code).toBe(2);
  });

  test('CL-50 status and status --deep name every hop and write nothing', async () => {
    const before = listing(gateway.stateDir);
    const plain = json((await own(['status', '--json'])).stdout);
    expect(plain['ok']).toBe(true);
    const deep = await own(['status', '--deep', '--json']);
    expect(deep.code).toBe(0);
    const hops = json(deep.stdout)['hops'] as { id: string; state: string; ms?: number }[];
    expect(hops.filter(({ state }) => state !== 'ok')).toEqual([]);
    expect(hops.map(({ id }) => id)).toEqual(
      expect.arrayContaining([
        'socket',
        'tcp',
        'http',
        'ready',
        'websocket',
        'auth',
        'scopes',
        'gateway',
        'model',
        'sessions',
        'presence',
        'devices',
      ]),
    );
    expect(listing(gateway.stateDir)).toEqual(before);
    const laptop = elsewhere(`{ gateway: { mode: "remote", remote: { url: "${gateway.url}", token: "${gateway.token()}" } } }`);
    expect((await runCli(['status', '--deep'], { env: laptop })).code).toBe(0);
    expect(readdirSync(laptop['OPENCLAW_STATE_DIR'] ?? '')).toEqual(['openclaw.json']);
  });

  test('EV-139 the model of a session is chosen by URL too, and what this version does not change is refused', async () => {
    const patch = async (params: Json) => {
      const argv = ['gateway', 'call', 'sessions.patch', '--json', '--params', JSON.stringify({ key: 'patched', ...params })];
      return json((await runCli([...argv, '--url', gateway.url, '--token', gateway.token()], { env: elsewhere() })).stdout);
    };
    expect(await patch({ model: 'script/m' })).toMatchObject({ result: { ok: true, resolved: { modelProvider: 'script', model: 'm' } } });
    expect(await patch({ model: 'nosuch/m' })).toMatchObject({ ok: false, error: { code: expect.any(String) } });
    expect(await patch({ model: null })).toMatchObject({ result: { ok: true, key: 'agent:main:patched' } });
    expect(await patch({ thinkingLevel: 'low' })).toMatchObject({ ok: false, error: { code: 'INVALID_REQUEST' } });
  });

  test('CL-22 the remote snippet: health, agent, chat and sessions from another state dir', async () => {
    const env = elsewhere(`{
  gateway: {
    mode: "remote",
    remote: {
      url: "${gateway.url.replace(/\/$/, '')}",
      token: "${gateway.token()}",
    },
  },
}`);
    expect((await runCli(['health'], { env })).code).toBe(0);
    const agent = await runCli(['agent', '-m', 'TEST:text Hello from afar', '--session', 'afar', '--json'], { env });
    expect(json(agent.stdout)).toMatchObject({
      ok: true,
      status: 'ok',
      result: { payloads: [{ text: expect.stringContaining('Hello from afar') }] },
    });
    const chat = await runCli(['chat', '--session', 'afar'], { env, input: 'one\ntwo\n' });
    expect(chat).toMatchObject({ code: 0, stderr: '' });
    expect(chat.stdout.split('\n').filter(Boolean)).toEqual(['You said: one', 'You said: two']);
    const preview = await runCli(['sessions', 'preview', 'afar'], { env });
    expect(preview.stdout).toContain('You said: two');
    // It is paired now: without any secret in its config it still gets in, by its device token.
    writeFileSync(
      join(env['OPENCLAW_STATE_DIR'] ?? '', 'openclaw.json'),
      `{ gateway: { mode: "remote", remote: { url: "${gateway.url}" } } }`,
      { mode: 0o600 },
    );
    expect(await runCli(['sessions'], { env })).toMatchObject({ code: 0 });
  });

  test('CL-42 a provider that refuses: the run fails with a fix', async () => {
    const result = await own(['agent', '-m', 'TEST:leak', '--session', 'leak', '--json']);
    expect(result.code).toBe(1);
    expect(json(result.stdout)).toMatchObject({ ok: false, error: { code: expect.any(String), fix: expect.any(String) } });
  });

  test('CL-42 Ctrl-C stops the run on the gateway and keeps what there is', async () => {
    const child = start(['agent', '-m', 'TEST:tokens n=200 delay=50', '--session', 'stopped']);
    await until(async () => {
      const answer = json((await own(['gateway', 'call', 'sessions.list', '--json'])).stdout);
      const sessions = ((answer['result'] as Json)['sessions'] as Json[]) ?? [];
      return sessions.some((row) => row['key'] === 'agent:main:stopped' && row['hasActiveRun'] === true);
    });
    child.kill('SIGINT');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(130);
    const answer = json((await own(['gateway', 'call', 'sessions.list', '--json'])).stdout);
    const row = ((answer['result'] as Json)['sessions'] as Json[]).find(({ key }) => key === 'agent:main:stopped');
    expect(row).toMatchObject({ hasActiveRun: false });
  });

  test('CL-40 devices: a signed client appears, is removed, and is out at once', async () => {
    const env = elsewhere(`{ gateway: { mode: "remote", remote: { url: "${gateway.url}", token: "${gateway.token()}" } } }`);
    expect((await runCli(['sessions'], { env })).code).toBe(0);
    const file = join(env['OPENCLAW_STATE_DIR'] ?? '', 'gateway', 'client-device.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const paired = json((await own(['devices', 'list', '--json'])).stdout)['paired'] as Json[];
    const { deviceId } = JSON.parse(readFileSync(file, 'utf8')) as { deviceId: string };
    expect(paired.map((row) => row['deviceId'])).toContain(deviceId);
    expect((await own(['devices', 'remove', deviceId])).code).toBe(0);
    const after = json((await own(['devices', 'list', '--json'])).stdout)['paired'] as Json[];
    expect(after.map((row) => row['deviceId'])).not.toContain(deviceId);
  });

  test('CL-47 logs, and logs -f until Ctrl-C', async () => {
    const page = await own(['logs', '--json']);
    const lines = page.stdout.trim().split('\n').map(json);
    expect(lines[0]).toMatchObject({ type: 'meta' });
    expect(lines.some((line) => line['type'] === 'log')).toBe(true);
    const child = start(['logs', '-f', '--interval', '100']);
    let printed = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
    });
    await until(() => printed.includes('listening'));
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  test('CL-48 a second gateway on this state dir is refused with its owner', async () => {
    const second = await own(['gateway', '--port', '0']);
    expect(second.code).not.toBe(0);
    expect(second.stderr).toContain(String(gateway.child.pid));
  });

  function start(args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, [join(ROOT, 'bin', 'openclaw.js'), ...args], {
      env: { ...gateway.env(), OPENCLAW_GATEWAY_PORT: String(gateway.port) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }
});

/** Every file with its size, but for those a running gateway writes by itself. */
function listing(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/sqlite|\.log$|compile-cache/.test(file))
    .sort();
}

test('CL-48 stop ends our own gateway; --force takes over from it; a foreign listener is left alone', async () => {
  const stateDir = newStateDir();
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
  const first = await startTestGateway({ stateDir });
  onTestFinished(() => first[Symbol.asyncDispose]());
  const second = await startTestGateway({ stateDir, flags: ['--force'] });
  onTestFinished(() => second[Symbol.asyncDispose]());
  await until(() => first.child.exitCode !== null);
  expect(first.child.exitCode).toBe(0);
  expect(second.output()).toContain(`PID ${first.child.pid}`);
  expect((await runCli(['gateway', 'stop'], { env: second.env() })).code).toBe(0);
  await until(() => second.child.exitCode !== null);
  expect(second.child.exitCode).toBe(0);
  expect((await runCli(['gateway', 'stop'], { env: second.env() })).code).toBe(3);

  const foreign = createServer(() => {});
  await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void foreign.close());
  const address = foreign.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const refused = await runCli(['gateway', '--force', '--port', String(port)], { env: productEnv(stateDir) });
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain(String(port));
  const probe = connect(port, '127.0.0.1');
  await once(probe, 'connect');
  probe.destroy();
});

test('CL-34 a chat whose gateway is killed mid-answer ends with what there was, and goes on after the restart', async () => {
  await using provider = await startScriptedProvider();
  const stateDir = newStateDir();
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
  const config = providerConfig(provider);
  const first = await startTestGateway({ stateDir, config });
  onTestFinished(() => first[Symbol.asyncDispose]());
  const child = spawn(process.execPath, [join(ROOT, 'bin', 'openclaw.js'), 'chat', '--json'], {
    env: first.env(),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  child.stdin.write('TEST:tokens n=100 delay=40\n');
  await until(async () => (await provider.chats()).length === 1);
  await first.kill('SIGKILL');
  await using second = await startTestGateway({ stateDir, config, flags: ['--port', String(first.port)] });
  await until(() => out.includes('\n'), 30_000);
  child.stdin.write('still there?\n');
  child.stdin.end();
  await once(child, 'exit');
  const answers = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Json);
  expect(answers, `${out}\n${err}`).toHaveLength(2);
  expect(answers[0]).toMatchObject({ ok: false, error: { code: 'RUN_FAILED' } });
  expect(answers[1]).toMatchObject({ ok: true, text: expect.stringContaining('still there?') });
  expect(err).toMatch(/reconnected/);
  expect(second.child.exitCode).toBeNull();
});

test('CL-33 CL-34 the terminal chat: streams, stops on Esc, tells of a restart and goes on, leaves the agent running', async (ctx) => {
  // util-linux's `script` gives a program a terminal.
  if (spawnSync('script', ['--version']).status !== 0) ctx.skip('script is missing: apt-get install util-linux');
  await using provider = await startScriptedProvider();
  const stateDir = newStateDir();
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
  const config = providerConfig(provider);
  const first = await startTestGateway({ stateDir, config });
  onTestFinished(() => first[Symbol.asyncDispose]());
  const command = `"${process.execPath}" "${join(ROOT, 'bin', 'openclaw.js')}" chat`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    env: { ...first.env(), TERM: 'xterm' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  const sees = (text: string): Promise<void> => until(() => shown.includes(text), 15_000);
  await sees('lists commands');
  child.stdin.write('hello\r');
  await sees('You said: hello');
  child.stdin.write('TEST:tokens n=500 delay=30\r');
  const before = shown.length;
  await until(() => shown.length > before + 400, 15_000);
  child.stdin.write('\u001b');
  await sees('stopped');
  await first.kill('SIGKILL');
  await sees('connection lost');
  child.stdin.write('after\r');
  await sees('queued');
  await using second = await startTestGateway({ stateDir, config, flags: ['--port', String(first.port)] });
  await sees('reconnected');
  await until(async () => (await provider.chats()).some(({ messages }) => JSON.stringify(messages.at(-1)).includes('after')));
  child.stdin.write('/exit\r');
  await once(child, 'exit');
  expect(child.exitCode).toBe(0);
  expect(second.child.exitCode).toBeNull();
});
