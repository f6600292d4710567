import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const posix = process.platform !== 'win32';

// What the bundle would be: says how it was started, then does as its first argument says.
const PROGRAM = `
  const [, launcher, ...args] = process.argv;
  console.log(JSON.stringify({ node: process.versions.node, launcher, args, pid: process.pid }));
  if (args.includes('--exit')) process.exit(Number(args[args.indexOf('--exit') + 1]));
  if (args.includes('--wait')) {
    for (const signal of ['SIGTERM', 'SIGUSR1', 'SIGHUP']) process.on(signal, () => console.log(signal));
    process.on('SIGUSR2', () => process.kill(process.pid, 'SIGKILL'));
    setInterval(() => {}, 1000);
    setTimeout(() => console.log('waiting'), 100); // The debugger that must not be there would be there by now.
  }
`;
// Makes the launcher believe that it runs on an old Node, which cannot be had everywhere.
const OLD_NODE = "Object.defineProperty(process.versions, 'node', { value: '18.20.0' });";

function freshDir(): string {
  const dir = tempDir();
  onTestFinished(() => dir[Symbol.dispose]());
  return dir.path;
}

/** A copy of the launcher with a stand-in for the bundle. */
function installed(options: { dist?: boolean; pinnedIn?: string } = {}): { dir: string; launcher: string; oldNode: string } {
  const dir = freshDir();
  cpSync(path.join(ROOT, 'bin'), path.join(dir, 'bin'), { recursive: true });
  const oldNode = path.join(dir, 'old-node.cjs');
  writeFileSync(oldNode, OLD_NODE);
  if (options.dist !== false) {
    mkdirSync(path.join(dir, 'dist'));
    writeFileSync(path.join(dir, 'dist', 'cli.cjs'), PROGRAM);
  }
  if (options.pinnedIn !== undefined) {
    const name = `node-${posix ? process.platform : 'win'}-${process.arch}`;
    const bin = path.join(dir, options.pinnedIn, name, 'bin');
    mkdirSync(bin, { recursive: true });
    symlinkSync(process.execPath, path.join(bin, posix ? 'node' : 'node.exe'));
  }
  return { dir, launcher: path.join(dir, 'bin', 'openclaw.js'), oldNode };
}

function start(args: readonly string[], env: Record<string, string> = {}): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, args, { env: { ...process.env, HOME: '/nonexistent', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, output: () => text };
}
const run = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, HOME: '/nonexistent' } });

describe('on a good Node', () => {
  test('CL-90 starts the bundle in the same process and keeps its exit code', () => {
    const { launcher } = installed();
    const { status, stdout, pid } = run(launcher, 'status', '--exit', '5');
    expect(status).toBe(5);
    expect(JSON.parse(stdout)).toEqual({ node: process.versions.node, launcher, args: ['status', '--exit', '5'], pid });
  });

  test('CL-90 without a build: says what to run', () => {
    const { launcher, dir } = installed({ dist: false });
    const { status, stderr } = run(launcher, 'status');
    expect(status).toBe(1);
    expect(stderr).toBe(`openclaw: The program has not been built yet.\n  Fix: cd ${dir} && npm run build\n`);
  });

  test('an error inside the bundle is not taken for a missing build', () => {
    const { launcher, dir } = installed();
    writeFileSync(path.join(dir, 'dist', 'cli.cjs'), "require('./chunks/lost.cjs')");
    expect(run(launcher).stderr).toContain('lost.cjs');
  });

  test('CL-93 takes nothing from the working directory', () => {
    const { launcher } = installed();
    const cwd = freshDir();
    mkdirSync(path.join(cwd, 'dist'));
    writeFileSync(path.join(cwd, 'dist', 'cli.cjs'), "console.log('the wrong one')");
    expect(spawnSync(process.execPath, [launcher, '--exit', '0'], { cwd, encoding: 'utf8' }).stdout).not.toContain('wrong');
  });

  test.runIf(posix)('CL-93 keeps compiled code in the state dir, only once the gateway made its private directory there', () => {
    const { launcher } = installed();
    const state = freshDir();
    const env = { ...process.env, OPENCLAW_STATE_DIR: state };
    spawnSync(process.execPath, [launcher, '--exit', '0'], { env });
    expect(readdirSync(state)).toEqual([]);
    mkdirSync(path.join(state, 'gateway'), { mode: 0o755 });
    spawnSync(process.execPath, [launcher, '--exit', '0'], { env });
    expect(readdirSync(path.join(state, 'gateway'))).toEqual([]);
    rmSync(path.join(state, 'gateway'), { recursive: true });
    mkdirSync(path.join(state, 'gateway'), { mode: 0o700 });
    spawnSync(process.execPath, [launcher, '--exit', '0'], { env });
    expect(readdirSync(path.join(state, 'gateway'))).toEqual(['compile-cache']);
  });
});

describe.runIf(posix)('the restart signal', () => {
  test.each([['gateway'], ['gateway', 'run'], ['--profile', 'work', 'gateway', '--port', '1']])(
    'CL-92 sent before a gateway has its handler: no debugger is left open (%s)',
    async (...args) => {
      const { launcher } = installed();
      const port = 20_000 + (process.pid % 10_000);
      // Node's debug port is 9229 for everybody; a port of our own keeps parallel tests apart. Set as its default only.
      const { child, output } = start(['--inspect-port', String(port), launcher, ...args, '--wait']);
      // From the moment Node blocks the signal until it is ours. Which of the two it meets depends on the machine.
      await until(() => blocksUsr1(child.pid ?? 0));
      child.kill('SIGUSR1');
      await until(() => output().includes('waiting'));
      expect(await listens(port)).toBe(false);
      child.kill('SIGUSR1');
      await until(() => output().includes('SIGUSR1'));
      expect(child.exitCode).toBeNull();
    },
  );
});

/** SIGUSR1 is bit 9 of the masks in /proc; true at once where there is no /proc. */
function blocksUsr1(pid: number): boolean {
  if (!existsSync('/proc/self/status')) return true;
  const masks = [...readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^Sig(?:Blk|Cgt):\s*([0-9a-f]+)/gm)];
  return masks.some(([, mask]) => (BigInt(`0x${mask}`) & 0x200n) !== 0n);
}

function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  }).finally(() => socket.destroy());
}

describe('on an old Node', () => {
  test.each(['node_modules', 'tools/node/node_modules'])('CL-91 goes on under the Node that came along, in %s', (pinnedIn) => {
    const { launcher, oldNode } = installed({ pinnedIn });
    const { status, stdout } = run('--require', oldNode, launcher, 'status', '--exit', '7');
    expect(status).toBe(7);
    expect(JSON.parse(stdout)).toMatchObject({ node: process.versions.node, launcher, args: ['status', '--exit', '7'] });
  });

  test.skipIf(process.platform === 'darwin')('CL-91 without one, in a clone: says what it needs, and that npm ci brings it', () => {
    const { launcher, oldNode, dir } = installed();
    writeFileSync(path.join(dir, 'package-lock.json'), '{}');
    const { status, stderr } = run('--require', oldNode, launcher, 'status');
    expect(status).toBe(1);
    expect(stderr).toContain('This is Node 18.20.0; OpenClaw Gateway needs 24.15 or newer.');
    expect(stderr).toContain(`Fix: cd ${dir} && npm ci`);
  });

  test('CL-91 without one, installed as a package: says what to install', () => {
    const { launcher, oldNode } = installed();
    const { status, stderr } = run('--require', oldNode, launcher, 'status');
    expect(status).toBe(1);
    expect(stderr).toContain('Fix: install Node 24 or newer');
  });

  test.runIf(posix)('CL-91 signals go down, and a death by signal comes up', async () => {
    const { launcher, oldNode } = installed({ pinnedIn: 'node_modules' });
    const { child, output } = start(['--require', oldNode, launcher, 'gateway', '--wait']);
    const exited = once(child, 'exit');
    await until(() => output().includes('waiting'));
    for (const signal of ['SIGTERM', 'SIGUSR1', 'SIGHUP'] as const) {
      child.kill(signal);
      await until(() => output().includes(signal));
    }
    child.kill('SIGUSR2');
    expect(await exited).toEqual([null, 'SIGKILL']);
  });
});
