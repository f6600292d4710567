import { type ChildProcess, spawn } from 'node:child_process';
import { parse } from 'node:path';
import { type Cancel, type Clock, systemClock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { endGroup, PIPE_GRACE_MS, signalGroup } from './kill.ts';
import { eachLine } from './lines.ts';
import { type OrphanGuard, processGuard } from './orphan-guard.ts';
import { type Argv, lastWords } from './run.ts';
import { which } from './which.ts';

export type SupervisedState =
  | { readonly kind: 'off' }
  /** Started, not yet ready; `attempt` counts from 1 since it was last steady. */
  | { readonly kind: 'starting'; readonly attempt: number }
  | { readonly kind: 'active'; readonly pid: number }
  /** `retryInMs` undefined: nothing but a new `start` tries again. */
  | { readonly kind: 'failed'; readonly why: string; readonly retryInMs: number | undefined };

export interface Command {
  readonly argv: Argv;
  /** The whole environment: see `childEnv`. */
  readonly env: Readonly<Record<string, string>>;
  /** Default: the root folder. */
  readonly cwd?: string;
}

/** How a run of the child came to its end. */
export interface Ending {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it said on stderr. */
  readonly stderr: string;
  readonly wasActive: boolean;
}

export interface SuperviseSpec {
  /** For messages. */
  readonly name: string;
  /** Asked anew at every start, so that a changed port or key counts. A throw is a failed start. */
  readonly command: () => Command | Promise<Command>;
  /** When the child is of use. `line` looks at its output, `probe` is asked every 200 ms; without either it is ready as soon as it runs. */
  readonly ready?: {
    readonly line?: (line: string, from: 'stdout' | 'stderr') => boolean;
    readonly probe?: () => Promise<boolean>;
    /** Default 15 s; a child that is not ready by then is ended and counts as failed. */
    readonly timeoutMs?: number;
  };
  /** Why no further start can help (a refused login); undefined to try again. */
  readonly isFinal?: (ending: Ending) => string | undefined;
  /** Doubles from `firstMs` (500) to `maxMs` (30 s), each shortened by chance by up to half, so that many do not come back in step. */
  readonly backoff?: { readonly firstMs?: number; readonly maxMs?: number };
  /** Active this long, the next failure begins again at `firstMs`. Default 30 s. */
  readonly steadyMs?: number;
  /** From SIGTERM to SIGKILL. Default 5 s. */
  readonly stopGraceMs?: number;
  readonly onLine?: (line: string, from: 'stdout' | 'stderr') => void;
  readonly onState?: (state: SupervisedState) => void;
  readonly clock?: Clock;
  /** 0–1. */
  readonly random?: () => number;
  readonly guard?: OrphanGuard;
}

export interface Supervised {
  state(): SupervisedState;
  /** Starts, or tries again at once when it waits or gave up. Harmless while it runs. */
  start(): void;
  /** Ends the child with all that it started; resolves when it is gone. */
  stop(): Promise<void>;
  /** Ends the child and starts it anew, without a pause: after a sleep or a change of network. */
  restart(): Promise<void>;
  /** The next `active` or `failed`; at once when it is one of them, and `off` when it is stopped. */
  settled(): Promise<SupervisedState>;
  [Symbol.asyncDispose](): Promise<void>;
}

const PROBE_EVERY_MS = 200;
const STDERR_KEPT = 20;

/** What belongs to one run of the child and goes with it. */
interface Run {
  child: ChildProcess | undefined;
  readonly cancels: Cancel[];
  /** The guard forgets the group only when it is gone. */
  unguard: Cancel;
  readonly stderr: string[];
  isActive: boolean;
  isOver: boolean;
  /** Set when we end it ourselves because it is not ready. */
  failure: string | undefined;
}

/**
 * Keeps a long-lived child running: starts it, knows when it is ready, starts it again with growing pauses, and ends it with all that it
 * started, also when this process is killed (see `orphan-guard`). Starts off; never throws.
 */
export function supervise(spec: SuperviseSpec): Supervised {
  const clock = spec.clock ?? systemClock;
  const random = spec.random ?? Math.random;
  const guard = spec.guard ?? processGuard();
  const graceMs = spec.stopGraceMs ?? 5_000;
  let state: SupervisedState = { kind: 'off' };
  let run: Run | undefined;
  let attempt = 0;
  let cancelRetry: Cancel = () => {};
  /** A new child starts only when the one before it is gone: it may need the same port. */
  let gone: Promise<unknown> = Promise.resolve();
  let watchers: ((state: SupervisedState) => void)[] = [];

  const enter = (next: SupervisedState): void => {
    state = next;
    spec.onState?.(next);
    if (next.kind === 'starting') return;
    const told = watchers;
    watchers = [];
    for (const tell of told) tell(next);
  };

  const begin = (): void => {
    cancelRetry();
    attempt++;
    const current: Run = {
      child: undefined,
      cancels: [],
      unguard: () => {},
      stderr: [],
      isActive: false,
      isOver: false,
      failure: undefined,
    };
    run = current;
    enter({ kind: 'starting', attempt });
    launch(current).catch((error: unknown) =>
      over(current, { exitCode: null, signal: null, stderr: '', wasActive: false }, messageOf(error)),
    );
  };

  const launch = async (current: Run): Promise<void> => {
    await gone;
    const { argv, env, cwd } = await spec.command();
    const program = await which(argv[0], { path: env['PATH'], pathExt: env['PATHEXT'] });
    if (current.isOver) return;
    if (!program) throw new Error(`${argv[0]} is not installed (not found on PATH)`);
    guard.prepare();
    const child = spawn(program, argv.slice(1), {
      env: { ...env },
      cwd: cwd ?? parse(process.execPath).root,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: false,
      windowsHide: true,
      detached: process.platform !== 'win32',
    });
    current.child = child;
    if (child.pid !== undefined) current.unguard = guard.watch(child.pid);
    child.once('error', (error) => over(current, { exitCode: null, signal: null, stderr: '', wasActive: false }, error.message));
    child.once('exit', (exitCode, signal) => {
      // Its last words may still be in the pipe; grandchildren that hold it open are ended first.
      signalGroup(child, 'SIGKILL');
      const finish = (): void => over(current, { exitCode, signal, stderr: current.stderr.join('\n'), wasActive: current.isActive });
      child.once('close', finish);
      current.cancels.push(clock.after(PIPE_GRACE_MS, finish));
    });
    eachLine(child.stdout, (line) => heard(current, line, 'stdout'));
    eachLine(child.stderr, (line) => heard(current, line, 'stderr'));
    awaitReady(current);
  };

  const heard = (current: Run, line: string, from: 'stdout' | 'stderr'): void => {
    if (from === 'stderr' && current.stderr.push(line) > STDERR_KEPT) current.stderr.shift();
    spec.onLine?.(line, from);
    if (!current.isActive && !current.isOver && spec.ready?.line?.(line, from)) becomeActive(current);
  };

  const awaitReady = (current: Run): void => {
    const { ready } = spec;
    if (!ready?.line && !ready?.probe) {
      current.child?.once('spawn', () => becomeActive(current));
      return;
    }
    const timeoutMs = ready.timeoutMs ?? 15_000;
    current.cancels.push(
      clock.after(timeoutMs, () => {
        if (current.isActive || current.isOver || !current.child) return;
        current.failure = `not ready within ${timeoutMs} ms`;
        void endGroup(current.child, clock, graceMs);
      }),
    );
    const { probe } = ready;
    if (!probe) return;
    let isAsking = false;
    current.cancels.push(
      clock.every(PROBE_EVERY_MS, () => {
        if (isAsking || current.isActive) return;
        isAsking = true;
        probe()
          .catch(() => false)
          .then((isReady) => {
            isAsking = false;
            if (isReady) becomeActive(current);
          });
      }),
    );
  };

  const becomeActive = (current: Run): void => {
    if (current.isActive || current.isOver || current.failure !== undefined) return;
    current.isActive = true;
    current.cancels.push(
      clock.after(spec.steadyMs ?? 30_000, () => {
        attempt = 0;
      }),
    );
    enter({ kind: 'active', pid: current.child?.pid ?? 0 });
  };

  /** The end of a run, however it came; exactly once for each. `broken` when it never ran properly. */
  const over = (current: Run, ending: Ending, broken?: string): void => {
    if (current.isOver) return;
    current.isOver = true;
    for (const cancel of current.cancels.splice(0)) cancel();
    current.unguard();
    run = undefined;
    const final = broken === undefined ? spec.isFinal?.(ending) : undefined;
    const why = final ?? broken ?? current.failure ?? describe(ending);
    const said = final === undefined ? lastWords(ending.stderr) : '';
    const retryInMs = final === undefined ? pause() : undefined;
    if (retryInMs !== undefined) cancelRetry = clock.after(retryInMs, begin);
    enter({ kind: 'failed', why: `${spec.name}: ${why}${said}`, retryInMs });
  };

  const pause = (): number => {
    const { firstMs = 500, maxMs = 30_000 } = spec.backoff ?? {};
    const full = Math.min(maxMs, firstMs * 2 ** Math.min(Math.max(attempt - 1, 0), 20));
    return Math.round(full * (1 - random() / 2));
  };

  const end = (): void => {
    cancelRetry();
    attempt = 0;
    const current = run;
    run = undefined;
    if (!current) return;
    current.isOver = true;
    for (const cancel of current.cancels.splice(0)) cancel();
    if (current.child) gone = endGroup(current.child, clock, graceMs).then(current.unguard);
  };

  const stop = async (): Promise<void> => {
    end();
    if (state.kind !== 'off') enter({ kind: 'off' });
    await gone;
  };

  return {
    state: () => state,
    start() {
      if (run) return;
      attempt = 0;
      begin();
    },
    stop,
    async restart() {
      end();
      begin();
      await gone;
    },
    settled: () => (state.kind === 'starting' ? new Promise((settle) => watchers.push(settle)) : Promise.resolve(state)),
    [Symbol.asyncDispose]: stop,
  };
}

function describe({ exitCode, signal, wasActive }: Ending): string {
  const how = signal ? `ended by ${signal}` : `exit ${exitCode}`;
  return wasActive ? `stopped running (${how})` : how;
}
