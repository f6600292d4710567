import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { until } from '../../test/support/until.ts';
import { orphanGuard } from './orphan-guard.ts';
import { identityOf, isRunning, parseStartTicks } from './process-identity.ts';
import { type Supervised, type SupervisedState, type SuperviseSpec, supervise } from './supervise.ts';

const env = { PATH: '/usr/bin:/bin' };
const made: Supervised[] = [];
const children: ChildProcess[] = [];
/** Ends with the test, however that ends. */
const atEnd = (child: ChildProcess): void => void children.push(child);
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(made.splice(0).map((each) => each.stop()));
});

interface Watched {
  readonly part: Supervised;
  readonly states: SupervisedState[];
}
function watched(script: string, spec: Partial<SuperviseSpec> = {}): Watched {
  const states: SupervisedState[] = [];
  const part = supervise({
    name: 'helper',
    command: () => ({ argv: [process.execPath, '-e', script], env }),
    onState: (state) => states.push(state),
    random: () => 0,
    stopGraceMs: 5_000,
    ...spec,
  });
  made.push(part);
  return { part, states };
}
const isGone = async (pid: number): Promise<boolean> => (await identityOf(pid)) === undefined;
const READY = { ready: { line: (line: string) => line === 'ready' } };
const LIVES = "console.log('ready'); setInterval(() => {}, 1000)";

describe('NET-33 supervise', () => {
  test('off → starting → active → off; it is gone when stop resolves', async () => {
    const { part, states } = watched(LIVES, READY);
    expect(part.state()).toEqual({ kind: 'off' });
    part.start();
    part.start();
    const state = await part.settled();
    const pid = state.kind === 'active' ? state.pid : 0;
    expect(await isGone(pid)).toBe(false);
    await part.stop();
    expect(await isGone(pid)).toBe(true);
    expect(states.map(({ kind }) => kind)).toEqual(['starting', 'active', 'off']);
    await part.stop();
  });

  test('ready by a probe', async () => {
    const clock = manualClock();
    let answer = false;
    const { part } = watched(LIVES, { ready: { probe: async () => answer }, clock });
    let isUp = false;
    part.start();
    await until(async () => {
      isUp ||= clock.pending >= 2;
      return isUp;
    });
    await clock.advance(1_000);
    expect(part.state().kind).toBe('starting');
    answer = true;
    await clock.advance(200);
    expect(part.state().kind).toBe('active');
  });

  test('not ready in time: ended, failed, tried again', async () => {
    const clock = manualClock();
    const { part } = watched('setInterval(() => {}, 1000)', { ready: { line: () => false, timeoutMs: 1_000 }, clock });
    part.start();
    await until(() => clock.pending >= 1);
    await clock.advance(1_000);
    expect(await part.settled()).toEqual({ kind: 'failed', why: 'helper: not ready within 1000 ms', retryInMs: 500 });
  });

  test('pauses double up to the limit; a steady run begins again at the first', async () => {
    const clock = manualClock();
    const mode = { fails: true };
    const { part, states } = watched('', {
      ...READY,
      clock,
      backoff: { firstMs: 100, maxMs: 350 },
      steadyMs: 10_000,
      command: () => ({ argv: [process.execPath, '-e', mode.fails ? "console.error('no luck'); process.exit(7)" : LIVES], env }),
    });
    part.start();
    const pauses: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      const state = await part.settled();
      if (state.kind !== 'failed') throw new Error(state.kind);
      expect(state.why).toBe('helper: exit 7: no luck');
      pauses.push(state.retryInMs);
      mode.fails = i < 3;
      await clock.advance(state.retryInMs ?? 0);
    }
    expect(pauses).toEqual([100, 200, 350, 350]);
    const active = await part.settled();
    await clock.advance(10_000);
    process.kill(active.kind === 'active' ? active.pid : 0, 'SIGKILL');
    await until(() => part.state().kind === 'failed');
    expect(part.state()).toEqual({ kind: 'failed', why: 'helper: stopped running (ended by SIGKILL)', retryInMs: 100 });
    expect(states.filter(({ kind }) => kind === 'starting').length).toBe(5);
  });

  test('a final failure is not tried again until somebody asks', async () => {
    const clock = manualClock();
    const { part } = watched("console.error('Permission denied'); process.exit(255)", {
      clock,
      isFinal: ({ stderr }) => (stderr.includes('Permission denied') ? 'login refused' : undefined),
    });
    part.start();
    await until(() => part.state().kind === 'failed');
    expect(part.state()).toEqual({ kind: 'failed', why: 'helper: login refused', retryInMs: undefined });
    await clock.advance(1_000_000);
    expect(part.state().kind).toBe('failed');
    part.start();
    expect(part.state().kind).toBe('starting');
  });

  test('a program that is not there and a command that throws are failures, not crashes', async () => {
    const missing = watched('', { command: () => ({ argv: ['no-such-program-anywhere'], env }) }).part;
    missing.start();
    expect(await missing.settled()).toMatchObject({
      kind: 'failed',
      why: 'helper: no-such-program-anywhere is not installed (not found on PATH)',
    });
    const throwing = watched('', { command: () => Promise.reject(new Error('no key')) }).part;
    throwing.start();
    expect(await throwing.settled()).toMatchObject({ kind: 'failed', why: 'helper: no key' });
  });

  test('stop before it runs, and start again at once: never two at a time', async () => {
    const pids: number[] = [];
    const { part } = watched(
      'console.log(process.pid); process.on("SIGTERM", () => setTimeout(() => process.exit(), 50)); setInterval(() => {}, 1000)',
      {
        ready: { line: (line) => pids.push(Number(line)) > 0 },
      },
    );
    part.start();
    await part.stop();
    expect(part.state()).toEqual({ kind: 'off' });
    part.start();
    await part.settled();
    const [first = 0] = pids;
    void part.restart();
    await part.settled();
    expect(pids.length).toBe(2);
    expect(await isGone(first)).toBe(true);
  });

  test('a child that is deaf to SIGTERM is killed after the grace, its children with it', async () => {
    const clock = manualClock();
    let grandchild = 0;
    const script =
      "process.on('SIGTERM', () => {}); console.log(require('node:child_process').spawn('sleep', ['600']).pid); setInterval(() => {}, 1000)";
    const { part } = watched(script, {
      clock,
      ready: {
        line: (line) => {
          grandchild = Number(line);
          return true;
        },
      },
    });
    part.start();
    const state = await part.settled();
    const pid = state.kind === 'active' ? state.pid : 0;
    const stopping = part.stop();
    expect(part.state()).toEqual({ kind: 'off' });
    expect(await isGone(pid)).toBe(false);
    await clock.advance(5_000);
    await stopping;
    await until(async () => (await isGone(pid)) && (await isGone(grandchild)));
  });
});

describe('NET-34 no orphans', { skip: process.platform === 'win32' }, () => {
  test('children end when their supervisor is killed with SIGKILL', async () => {
    const here = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
    const parentScript = `
      const { supervise } = await import(${here('./supervise.ts')});
      const script = "process.on('SIGTERM', () => {}); console.log(process.pid + ' ' + require('node:child_process').spawn('sleep', ['600']).pid); setInterval(() => {}, 1000)";
      const part = supervise({ name: 'x', command: () => ({ argv: [process.execPath, '-e', script], env: ${JSON.stringify(env)} }),
        ready: { line: (line) => (console.log(line), true) } });
      part.start();
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', parentScript], { stdio: ['ignore', 'pipe', 'inherit'] });
    atEnd(parent);
    const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
    const pids = line.split(' ').map(Number);
    for (const pid of pids) expect(await isGone(pid)).toBe(false);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    // 3 s for SIGTERM, which this child ignores.
    for (const pid of pids) await until(() => isGone(pid));
  });

  test('a guard that was killed is replaced; a group that was taken back is left alone', async ({ skip }) => {
    if (process.platform !== 'linux') skip('finds the guard by `ps --ppid`, which is procps');
    const here = JSON.stringify(new URL('./orphan-guard.ts', import.meta.url).href);
    const start = "const s = () => require('node:child_process').spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).pid;";
    const parentScript = `
      import { createRequire } from 'node:module';
      import { execFileSync } from 'node:child_process';
      const require = createRequire('/');
      ${start}
      const { orphanGuard } = await import(${here});
      const guard = orphanGuard();
      const [kept, released] = [s(), s()];
      const release = guard.watch(released);
      guard.watch(kept);
      const guards = () => execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' }).split('\\n').filter((l) => l.includes('openclaw-guard')).map((l) => parseInt(l));
      const [first] = guards();
      process.kill(first, 'SIGKILL');
      const timer = setInterval(() => {
        const now = guards().filter((pid) => pid !== first);
        if (now.length === 0) return;
        clearInterval(timer);
        release();
        console.log(kept + ' ' + released);
        setInterval(() => {}, 1000);
      }, 20);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', parentScript], { stdio: ['ignore', 'pipe', 'inherit'] });
    atEnd(parent);
    const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
    const [kept = 0, released = 0] = line.split(' ').map(Number);
    parent.kill('SIGKILL');
    await until(() => isGone(kept));
    expect(await isGone(released)).toBe(false);
    process.kill(released, 'SIGKILL');
  });

  test('a guard keeps no process alive', async () => {
    const here = JSON.stringify(new URL('./orphan-guard.ts', import.meta.url).href);
    const script = `const { orphanGuard } = await import(${here}); orphanGuard().watch(2 ** 22 + 1);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    expect(await once(parent, 'exit')).toEqual([0, null]);
    expect(orphanGuard).toBeTypeOf('function');
  });
});

describe('NET-35 who a process is', { skip: process.platform === 'win32' }, () => {
  test('a number alone proves nothing: the start time must agree', async () => {
    const self = await identityOf(process.pid);
    expect(self).toBeDefined();
    if (!self) return;
    expect(await isRunning(self)).toBe(true);
    expect(await isRunning({ ...self, started: `${self.started}0` })).toBe(false);
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    atEnd(child);
    await once(child, 'spawn');
    const identity = await identityOf(child.pid ?? 0);
    expect(identity?.pid).toBe(child.pid);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(identity && (await isRunning(identity))).toBe(false);
  });
  test.each([0, -1, 1.5, Number.NaN, 2 ** 31])('%d is nobody', async (pid) => expect(await identityOf(pid)).toBeUndefined());
  test('names with spaces and brackets do not move the fields; a zombie has ended', () => {
    const rest = `1 1 1 0 -1 4194560 1 0 0 0 1 0 0 0 20 0 1 0 98765 1 1`;
    expect(parseStartTicks(`42 (a) S (b) S ${rest}`)).toBe('98765');
    expect(parseStartTicks(`42 (x) Z ${rest}`)).toBeUndefined();
    expect(parseStartTicks('')).toBeUndefined();
  });
});
