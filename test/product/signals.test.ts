import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { newStateDir, productEnv, ROOT } from '../support/gateway.ts';
import { seeded } from '../support/seed.ts';
import { until } from '../support/until.ts';

/**
 * Signals at any moment of a gateway's life, from the launcher's first line on. Whatever comes whenever: it ends with exit code 0, never by a
 * signal, and leaves nothing behind; and a restart that was followed by a stop never comes back up.
 */

const LAUNCHER = join(ROOT, 'bin', 'openclaw.js');
const isLinux = process.platform === 'linux';
/** On a machine that does ten other things. */
const PATIENCE_MS = 40_000;

interface Life {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exit: Promise<unknown[]>;
  readonly listened: () => number;
}

function start(stateDir: string, before: readonly string[] = []): Life {
  const child = spawn(process.execPath, [...before, LAUNCHER, 'gateway', 'run', '--port', '0'], {
    env: productEnv(stateDir),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, output: () => text, exit: once(child, 'exit'), listened: () => text.match(/^listening on ws:\/\/127/gm)?.length ?? 0 };
}

/** The launcher has said its first lines: SIGHUP (bit 1), the last that it takes, is caught. Before, Node itself is not up. */
function listens(pid: number): boolean {
  const [, mask] = /^SigCgt:\s*([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return (BigInt(`0x${mask ?? '0'}`) & 1n) === 1n;
}

const isOver = ({ child }: Life): boolean => child.exitCode !== null || child.signalCode !== null;

function leftovers(stateDir: string): string[] {
  const ours = join(stateDir, 'gateway');
  return ['admin.sock', 'owner.json', 'gateway.sqlite-wal', 'gateway.sqlite-shm', 'gateway.sqlite-journal', 'lock.sqlite-journal'].filter(
    (name) => existsSync(join(ours, name)),
  );
}

/** Milliseconds, at every scale from a tenth to a second: most of what can go wrong lies within a few. */
const pauseOf = (random: number): number => 0.1 * 10 ** (random * 4);

describe.skipIf(!isLinux)('WS-75 signals at any moment (Linux: what is caught is read from /proc)', () => {
  const { random } = seeded('signals');
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

  test.each(Array.from({ length: 64 }, (_, at) => at))('round %i', async (round) => {
    const stateDir = newStateDir();
    const life = start(stateDir);
    const { child } = life;
    const sent: string[] = [];
    const send = async (signal: NodeJS.Signals, ms: number): Promise<void> => {
      await wait(ms);
      if (!isOver(life) && child.kill(signal)) sent.push(`${ms.toFixed(1)} ${signal}`);
    };
    await until(() => listens(child.pid ?? 0), PATIENCE_MS);
    // A third each: at the start, at a restart, when it has long been up.
    const phase = round % 3;
    if (phase > 0) await until(() => life.listened() === 1, PATIENCE_MS);
    if (phase === 1) await send('SIGUSR1', 0);
    const befores = Array.from({ length: Math.floor(random() * 3) }, () => pick(['SIGUSR1', 'SIGUSR1', 'SIGTERM'] as const));
    for (const signal of befores) await send(signal, pauseOf(random() * 0.8));
    await send(pick(['SIGTERM', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const), pauseOf(random()));
    const stopped = life.listened();
    // After the stop: more of the same, to the very end.
    for (let more = Math.floor(random() * 5); more > 0; more--)
      await send(pick(['SIGTERM', 'SIGUSR1', 'SIGINT'] as const), pauseOf(random() * 0.7));
    await until(() => isOver(life), PATIENCE_MS);
    expect({ sent, exit: await life.exit, output: life.output() }).toEqual({ sent, exit: [0, null], output: life.output() });
    // A life that had begun may still say so; no other begins.
    expect(life.listened() - stopped, life.output()).toBeLessThanOrEqual(1);
    expect(leftovers(stateDir)).toEqual([]);
    rmSync(stateDir, { recursive: true, force: true });
  });

  test('stops without a pause until it is gone', async () => {
    for (let round = 0; round < 6; round++) {
      const stateDir = newStateDir();
      const life = start(stateDir);
      await until(() => life.listened() === 1, PATIENCE_MS);
      while (!isOver(life)) {
        life.child.kill(pick(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const));
        await wait(random() * 2);
      }
      expect(await life.exit, life.output()).toEqual([0, null]);
      expect(leftovers(stateDir)).toEqual([]);
      rmSync(stateDir, { recursive: true, force: true });
    }
  });

  test('a restart that is wished while it starts is done when it is up', async () => {
    const stateDir = newStateDir();
    const life = start(stateDir);
    const lock = join(stateDir, 'gateway', 'owner.json');
    await until(() => existsSync(lock), PATIENCE_MS);
    life.child.kill('SIGUSR1');
    await until(() => life.listened() === 2, PATIENCE_MS);
    life.child.kill('SIGTERM');
    expect(await life.exit, life.output()).toEqual([0, null]);
    expect(life.output()).not.toContain('before initialization');
    rmSync(stateDir, { recursive: true, force: true });
  });
});

describe.skipIf(!isLinux)('WS-76 under an old Node', () => {
  const name = `node-${process.platform}-${process.arch}`;
  const { random } = seeded('signals under an old Node');

  test.each(Array.from({ length: 24 }, (_, at) => at))('signals to the parent, round %i', async (round) => {
    const stateDir = newStateDir();
    mkdirSync(stateDir, { recursive: true });
    // Makes the launcher believe that it runs on an old Node. Its child is not told so.
    const old = join(stateDir, 'old-node.cjs');
    writeFileSync(old, "Object.defineProperty(process.versions, 'node', { value: '18.20.0' });");
    expect(existsSync(join(ROOT, 'node_modules', name)) || existsSync(join(ROOT, 'tools/node/node_modules', name))).toBe(true);
    const life = start(stateDir, ['--require', old]);
    await until(() => listens(life.child.pid ?? 0), PATIENCE_MS);
    if (round % 2 === 1) await until(() => life.listened() === 1, PATIENCE_MS);
    if (round % 4 < 2) {
      await wait(pauseOf(random() * 0.7));
      life.child.kill('SIGUSR1');
    }
    await wait(pauseOf(random()));
    life.child.kill('SIGTERM');
    await wait(pauseOf(random() * 0.7));
    if (!isOver(life)) life.child.kill('SIGTERM');
    expect(await life.exit, life.output()).toEqual([0, null]);
    expect(leftovers(stateDir)).toEqual([]);
    rmSync(stateDir, { recursive: true, force: true });
  });
});
