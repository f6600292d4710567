import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { until } from '../../test/support/until.ts';
import { childEnv } from './child-env.ts';
import { type Argv, lastWords, type RunOptions, run } from './run.ts';
import { which } from './which.ts';

const env = { PATH: '/usr/bin:/bin' };
const js = (script: string, ...args: string[]): Argv => [process.execPath, '-e', script, '--', ...args];
const go = (argv: Argv, options: Partial<RunOptions> = {}): ReturnType<typeof run> => run(argv, { env, timeoutMs: 15_000, ...options });
/** Whether a process still stands; a zombie that nobody reaped yet does not count. */
async function isAlive(pid: number): Promise<boolean> {
  const { identityOf } = await import('./process-identity.ts');
  return (await identityOf(pid)) !== undefined;
}

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'oc-run-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('NET-30 run', () => {
  test('arguments arrive as they are; no shell reads them', async () => {
    const words = ['a b', '$HOME', '`id`', '"', "'", ';', '*', ''];
    const result = await go(js('process.stdout.write(JSON.stringify(process.argv.slice(1)))', ...words));
    expect(result.ok && JSON.parse(result.value.stdout)).toEqual(words);
  });

  test('stdin is what was given, else empty; the folder is the root', async () => {
    expect(await go(['cat'], { input: 'héllo' })).toMatchObject({ ok: true, value: { stdout: 'héllo' } });
    expect(await go(['cat'])).toMatchObject({ ok: true, value: { stdout: '' } });
    expect(await go(['pwd'])).toMatchObject({ ok: true, value: { stdout: '/\n' } });
    // A child that reads nothing of a long input.
    expect(await go(['true'], { input: 'x'.repeat(1_000_000) })).toMatchObject({ ok: true });
  });

  test('a failing program becomes an error that says what it said', async () => {
    const result = await go(js("console.log('out'); console.error('first\\nPermission \\u001b[31mdenied'); process.exit(3)"));
    expect(result).toMatchObject({ ok: false, error: { kind: 'exit', exitCode: 3, stdout: 'out\n' } });
    expect(!result.ok && result.error.message).toBe('node: exit 3: first | Permission  [31mdenied');
  });

  test('a missing program, a folder and a file that may not run', async () => {
    writeFileSync(join(root, 'plain'), 'x');
    for (const name of ['no-such-program-anywhere', root, join(root, 'plain'), './run']) {
      expect(await go([name])).toMatchObject({ ok: false, error: { kind: 'not-found' } });
    }
    expect(await go(['true'], { cwd: join(root, 'nowhere') })).toMatchObject({ ok: false });
  });

  test('a signal is named', async () => {
    expect(await go(js("process.kill(process.pid, 'SIGKILL')"))).toMatchObject({ ok: false, error: { kind: 'signal' } });
  });

  test('the deadline ends it with all that it started, deaf to SIGTERM or not', async () => {
    const clock = manualClock();
    const pids = join(root, 'pids');
    const script = `
      process.on('SIGTERM', () => {});
      const child = require('node:child_process').spawn('sleep', ['600']);
      require('node:fs').writeFileSync(${JSON.stringify(pids)}, process.pid + ' ' + child.pid);
      setInterval(() => {}, 1000);`;
    const running = go(js(script), { timeoutMs: 1_000, graceMs: 500, clock });
    const { readFileSync, existsSync } = await import('node:fs');
    await until(() => existsSync(pids) && readFileSync(pids, 'utf8').includes(' '));
    await clock.advance(1_000);
    await clock.advance(500);
    const result = await running;
    expect(result).toMatchObject({ ok: false, error: { kind: 'timeout', message: 'node: no answer within 1000 ms' } });
    for (const pid of readFileSync(pids, 'utf8').split(' ')) await until(async () => !(await isAlive(Number(pid))));
  });

  test('an abort ends it; one that came before starts nothing', async () => {
    const controller = new AbortController();
    const running = go(['sleep', '600'], { signal: controller.signal });
    controller.abort();
    expect(await running).toMatchObject({ ok: false, error: { kind: 'aborted' } });
    expect(await go(['sleep', '600'], { signal: controller.signal })).toMatchObject({
      ok: false,
      error: { kind: 'aborted', durationMs: expect.any(Number) },
    });
  });

  test('output is bounded: fail or cut, and of stderr the end is kept', async () => {
    const flood =
      "const b = Buffer.alloc(65536, 120); const w = () => { while (process.stdout.write(b)); process.stdout.once('drain', w) }; w()";
    const failed = await go(js(flood), { maxStdoutBytes: 1000 });
    expect(failed).toMatchObject({ ok: false, error: { kind: 'output-limit', isCut: true } });
    expect(!failed.ok && failed.error.stdout.length).toBe(1000);
    const script = "process.stdout.write('x'.repeat(200000)); process.stderr.write('a'.repeat(200000) + 'END')";
    const cut = await go(js(script), { maxStdoutBytes: 1000, maxStderrBytes: 10, onOverflow: 'cut' });
    expect(cut).toMatchObject({ ok: true, value: { isCut: true, stderr: 'aaaaaaaEND' } });
    expect(cut.ok && cut.value.stdout.length).toBe(1000);
  });

  test('a grandchild that keeps the pipes open holds nobody up and does not stay', async () => {
    const result = await go(
      js("const c = require('node:child_process').spawn('sleep', ['600'], { stdio: 'inherit' }); console.log(c.pid); process.exit(0)"),
    );
    expect(result.ok).toBe(true);
    const pid = Number(result.ok && result.value.stdout);
    expect(pid).toBeGreaterThan(0);
    await until(async () => !(await isAlive(pid)));
  });

  test('a grandchild that let go of the pipes does not stay either', async () => {
    const result = await go(
      js("console.log(require('node:child_process').spawn('sleep', ['600'], { stdio: 'ignore' }).pid); process.exit(0)"),
    );
    const pid = Number(result.ok && result.value.stdout);
    expect(pid).toBeGreaterThan(0);
    await until(async () => !(await isAlive(pid)));
  });

  test('a guard knows the group from start to end', async () => {
    const calls: string[] = [];
    const guard = {
      prepare: () => void calls.push('prepare'),
      watch: () => {
        calls.push('watch');
        return () => void calls.push('release');
      },
    };
    await go(['true'], { guard });
    await go(['no-such-program-anywhere'], { guard });
    expect(calls).toEqual(['prepare', 'watch', 'release']);
  });

  test('only the environment that was given', async () => {
    const result = await go(js('process.stdout.write(JSON.stringify(process.env))'), { env: { PATH: '/bin', A: '1' } });
    expect(result.ok && JSON.parse(result.value.stdout)).toEqual({ PATH: '/bin', A: '1' });
  });
});

test('NET-30 lastWords keeps three lines and no control characters', () => {
  expect(lastWords('')).toBe('');
  expect(lastWords('a\nb\r\nc\n\nd\u0007\n')).toBe(': b | c | d');
  expect(lastWords('x'.repeat(9999)).length).toBe(402);
});

describe('NET-31 which', () => {
  test('finds programs in absolute folders of PATH, in order', async () => {
    const [first, second] = [join(root, 'first'), join(root, 'second')];
    for (const folder of [first, second]) {
      mkdirSync(folder);
      writeFileSync(join(folder, 'tool'), '#!/bin/sh\n');
    }
    chmodSync(join(second, 'tool'), 0o755);
    expect(await which('tool', { path: `${first}:${second}` })).toBe(join(second, 'tool'));
    chmodSync(join(first, 'tool'), 0o755);
    expect(await which('tool', { path: `${first}:${second}` })).toBe(join(first, 'tool'));
    symlinkSync('/nowhere', join(first, 'broken'));
    expect(await which('broken', { path: first })).toBeUndefined();
    mkdirSync(join(first, 'folder'));
    expect(await which('folder', { path: first })).toBeUndefined();
  });

  test('never the current directory, whatever PATH says', async ({ skip }) => {
    const here = process.cwd();
    const script = join(root, 'here-only');
    writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 });
    try {
      process.chdir(root);
    } catch {
      skip('a worker thread cannot change its folder: run vitest with --pool forks');
    }
    try {
      for (const path of ['', '.', ':', './', `:${''}`, undefined]) expect(await which('here-only', { path })).toBeUndefined();
      expect(await which('./here-only', { path: root })).toBeUndefined();
      expect(await which('here-only', { path: root })).toBe(script);
    } finally {
      process.chdir(here);
    }
  });
});

describe('NET-32 childEnv', () => {
  const parent = {
    PATH: `.:/usr/bin::bin:/bin`,
    HOME: '/home/a',
    LANG: 'C.UTF-8',
    LC_ALL: 'C',
    LC_: 'x',
    TERM: 'xterm',
    SSH_AUTH_SOCK: '/run/agent',
    OPENCLAW_GATEWAY_TOKEN: 'secret',
    OPENCLAW_GATEWAY_PASSWORD: 'secret',
    OPENAI_API_KEY: 'secret',
    ANTHROPIC_API_KEY: 'secret',
    LD_PRELOAD: '/evil.so',
    NODE_OPTIONS: '--require /evil.js',
    GIT_SSH_COMMAND: 'evil',
    BASH_ENV: '/evil',
    Path: 'not posix',
    UNSET: undefined,
  };
  test('passes what is listed, PATH without relative entries, and nothing else', () => {
    expect(childEnv(parent, { platform: 'linux' })).toEqual({
      PATH: '/usr/bin:/bin',
      HOME: '/home/a',
      LANG: 'C.UTF-8',
      LC_ALL: 'C',
      TERM: 'xterm',
    });
  });
  test('the agent’s socket is for ssh; a key for whom it was given by name', () => {
    expect(childEnv(parent, { platform: 'linux', ssh: true })['SSH_AUTH_SOCK']).toBe('/run/agent');
    expect(childEnv(parent, { platform: 'linux', extra: { OPENAI_API_KEY: 'given', LANG: undefined } })).toMatchObject({
      OPENAI_API_KEY: 'given',
      LANG: 'C.UTF-8',
    });
  });
  test('Windows names match by any case', () => {
    const env = childEnv({ SystemRoot: 'C:\\Windows', ComSpec: 'cmd', openai_api_key: 'secret' }, { platform: 'win32' });
    expect(env).toEqual({ SystemRoot: 'C:\\Windows', ComSpec: 'cmd' });
  });
});
