import { chmodSync, chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newStateDir, productEnv, runCli, startTestGateway } from '../support/gateway.ts';
import { type Stranger, stranger } from './support/stranger.ts';

/** What a command line shows to whoever holds the port of its own gateway. */

const GENERATED = `ocg_${'A1b2C3d4'.repeat(6).slice(0, 43)}`;
const CONFIGURED = 'a-configured-token-0123456789abcdef';
const OTHER = 61_234;
const isRoot = process.getuid?.() === 0;
const note = isRoot ? '' : ' (skipped: needs root, to be another user as well)';

/** Every command that dials, each by its own way through the code. */
const COMMANDS = [
  ['health'],
  ['health', '--json'],
  ['status'],
  ['status', '--deep'],
  ['gateway', 'status'],
  ['gateway', 'probe'],
  ['gateway', 'call', 'health'],
  ['devices', 'list'],
  ['sessions'],
  ['models'],
  ['logs'],
  ['agent', '-m', 'hello'],
  ['chat'],
] as const;

/** A state dir in which a gateway has run, and made its token. */
function stateDir(config = '{}'): { readonly dir: string; readonly env: Record<string, string>; [Symbol.dispose](): void } {
  const dir = newStateDir();
  mkdirSync(join(dir, 'gateway'), { mode: 0o700 });
  writeFileSync(join(dir, 'gateway', 'token'), `${GENERATED}\n`, { mode: 0o600 });
  writeFileSync(join(dir, 'openclaw.json'), config, { mode: 0o600 });
  return { dir, env: productEnv(dir), [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}

async function tell(own: Stranger, env: Record<string, string>, secret: string, commands: readonly (readonly string[])[] = COMMANDS) {
  for (const command of commands) {
    const { code, stdout, stderr } = await runCli(command, { env: { ...env, OPENCLAW_GATEWAY_PORT: String(own.port) } });
    const said = `${stdout}${stderr}`;
    expect([command.join(' '), own.heard().includes(secret), said.includes(secret)]).toEqual([command.join(' '), false, false]);
    expect([command.join(' '), code === 0]).toEqual([command.join(' '), false]);
    if (command[0] !== 'logs') expect(said).toContain(`${own.port} belongs to another gateway: pid`);
  }
}

describe('CR-20 the generated token goes to nobody but the gateway that made it', () => {
  test.skipIf(!isRoot)(`not to another user's process, by any command${note}`, async () => {
    await using thief = await stranger({ uid: OTHER });
    using state = stateDir();
    await tell(thief, state.env, GENERATED);
  });

  test("nor to another process of the same user: a tunnel's near end, a second gateway", async () => {
    await using thief = await stranger();
    using state = stateDir();
    await tell(thief, state.env, GENERATED, [['health'], ['status', '--deep'], ['gateway', 'probe']]);
    await using other = await startTestGateway();
    const { code, stderr } = await runCli(['health'], { env: { ...state.env, OPENCLAW_GATEWAY_PORT: String(other.port) } });
    expect([code, stderr]).toEqual([3, expect.stringContaining('yours is not running')]);
  });

  test('nor by the note of a gateway that was killed, whose process id a stranger has by now', async () => {
    await using thief = await stranger();
    using state = stateDir();
    await using killed = await startTestGateway({ stateDir: state.dir });
    await killed.kill('SIGKILL');
    writeFileSync(
      join(state.dir, 'gateway', 'owner.json'),
      JSON.stringify({ pid: thief.child.pid, startedAt: Date.now(), version: '1', port: thief.port }),
      { mode: 0o600 },
    );
    const { code, stderr } = await runCli(['health'], { env: state.env });
    expect([code, thief.heard().includes(GENERATED)]).toEqual([3, false]);
    expect(stderr).toContain(`${thief.port} belongs to another gateway`);
  });

  test('the message ends somewhere: its fix starts a gateway, and `auth explain` says the same', async () => {
    await using thief = await stranger(isRoot ? { uid: OTHER } : {});
    using state = stateDir();
    const env = { ...state.env, OPENCLAW_GATEWAY_PORT: String(thief.port) };
    const health = JSON.parse((await runCli(['health', '--json'], { env })).stdout) as { error: { code: string; fix: string } };
    expect(health.error.code).toBe('GATEWAY_NOT_YOURS');
    expect(health.error.fix).toMatch(/^openclaw gateway run --port 0 /);
    const explained = await runCli(['auth', 'explain', '--json'], { env });
    expect([explained.code, JSON.parse(explained.stdout)]).toMatchObject([
      1,
      { withheld: { code: 'GATEWAY_NOT_YOURS' }, fix: health.error.fix },
    ]);
    await using own = await startTestGateway({ stateDir: state.dir });
    // Its door is the admin socket, whatever the port says.
    expect((await runCli(['health'], { env })).code).toBe(0);
    const deep = await runCli(['gateway', 'status', '--json'], { env });
    expect(JSON.parse(deep.stdout)).toMatchObject({ probe: { code: 'GATEWAY_ELSEWHERE', fix: 'unset OPENCLAW_GATEWAY_PORT' } });
    expect(own.token()).toBe(GENERATED);
    expect(thief.heard()).not.toContain(GENERATED);
  });

  test('its own gateway gets it over TCP', async () => {
    using state = stateDir();
    await using own = await startTestGateway({ stateDir: state.dir });
    rmSync(join(state.dir, 'gateway', 'admin.sock'));
    expect(await runCli(['health'], { env: state.env })).toMatchObject({ code: 0, stdout: expect.stringContaining(own.url) });
    const deep = await runCli(['status', '--deep', '--json'], { env: state.env });
    expect(JSON.parse(deep.stdout)).toMatchObject({ hops: expect.arrayContaining([expect.objectContaining({ id: 'auth', state: 'ok' })]) });
  });
});

describe('CR-21 what the owner configured goes to the port that was configured, but to no third user', () => {
  const config = JSON.stringify({ gateway: { auth: { token: CONFIGURED } } });

  test.skipIf(!isRoot)(`in local mode not to another user's process: config or environment${note}`, async () => {
    await using thief = await stranger({ uid: OTHER });
    using state = stateDir(config);
    await tell(thief, state.env, CONFIGURED, [['health'], ['status', '--deep'], ['gateway', 'probe'], ['agent', '-m', 'hello']]);
    using bare = stateDir('{ gateway: { auth: { mode: "password" } } }');
    await tell(thief, { ...bare.env, OPENCLAW_GATEWAY_PASSWORD: CONFIGURED }, CONFIGURED, [['health'], ['devices', 'list']]);
  });

  test('to a process of the same user (a tunnel), as ever', async () => {
    await using tunnel = await stranger();
    using state = stateDir(config);
    const { code } = await runCli(['health'], { env: { ...state.env, OPENCLAW_GATEWAY_PORT: String(tunnel.port) } });
    expect([code, tunnel.heard().includes(CONFIGURED)]).toEqual([0, true]);
  });

  test('and wherever a URL was named or a secret given by hand, whoever holds that port', async () => {
    await using theirs = await stranger(isRoot ? { uid: OTHER } : {});
    const url = `ws://127.0.0.1:${theirs.port}`;
    using remote = stateDir(JSON.stringify({ gateway: { mode: 'remote', remote: { url, token: 'your-token' } } }));
    expect((await runCli(['health'], { env: remote.env })).code).toBe(0);
    expect(theirs.heard()).toContain('"your-token"');
    using local = stateDir();
    const byEnv = { ...local.env, OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN: 'by-environment' };
    expect((await runCli(['health'], { env: byEnv })).code).toBe(0);
    expect((await runCli(['health', '--url', url, '--token', 'by-hand'], { env: local.env })).code).toBe(0);
    expect(theirs.heard()).toContain('"by-environment"');
    expect(theirs.heard()).toContain('"by-hand"');
    expect(theirs.heard()).not.toContain(GENERATED);
  });
});

test.skipIf(!isRoot)(`CL-101 a socket that another user left in the place of the gateway's hears nothing${note}`, async () => {
  using state = stateDir();
  const ours = join(state.dir, 'gateway');
  for (const each of [state.dir, ours, join(state.dir, 'openclaw.json'), join(ours, 'token')]) chownSync(each, OTHER, OTHER);
  let heard = 0;
  const server = createServer((socket) => {
    heard++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(join(ours, 'admin.sock'), resolve));
  chmodSync(join(ours, 'admin.sock'), 0o666);
  const wrap = ['setpriv', `--reuid=${OTHER}`, `--regid=${OTHER}`, '--clear-groups'];
  chownSync(join(ours, 'admin.sock'), OTHER + 1, OTHER + 1);
  for (const command of [['health'], ['status'], ['gateway', 'stop'], ['agent', '-m', 'my secret plans']]) {
    expect((await runCli(command, { env: { ...state.env, OPENCLAW_GATEWAY_PORT: '1' }, wrap })).code).not.toBe(0);
  }
  expect(heard).toBe(0);
  chownSync(join(ours, 'admin.sock'), OTHER, OTHER);
  await runCli(['health'], { env: { ...state.env, OPENCLAW_GATEWAY_PORT: '1' }, wrap });
  expect(heard).toBeGreaterThan(0);
  server.close();
});
