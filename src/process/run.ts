import { type ChildProcess, spawn } from 'node:child_process';
import { basename, parse } from 'node:path';
import type { Readable } from 'node:stream';
import { type Clock, systemClock } from '../lib/clock.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { PIPE_GRACE_MS, signalGroup } from './kill.ts';
import type { OrphanGuard } from './orphan-guard.ts';
import { which } from './which.ts';

/** A program and its arguments; nothing here is ever read by a shell. */
export type Argv = readonly [program: string, ...args: string[]];

export interface RunOptions {
  /** The whole environment of the child: see `childEnv`. */
  readonly env: Readonly<Record<string, string>>;
  /** Default: the root folder, so that nothing lying about where we were started counts. */
  readonly cwd?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Written to the child's stdin, which is then closed. Without it stdin is empty. */
  readonly input?: string | Uint8Array;
  /** Default 1 MiB. */
  readonly maxStdoutBytes?: number;
  /** Of a longer stderr the end is kept. Default 64 KiB. */
  readonly maxStderrBytes?: number;
  /** A longer stdout ends the child and fails (default), or is cut and drained. */
  readonly onOverflow?: 'fail' | 'cut';
  /** After SIGTERM, before SIGKILL. Default 2 s. */
  readonly graceMs?: number;
  readonly clock?: Clock;
  /** For what may run long: ends the child also when this process is killed before the deadline. */
  readonly guard?: OrphanGuard;
}

export interface RunOutput {
  readonly stdout: string;
  readonly stderr: string;
  /** Stdout was longer than asked for. */
  readonly isCut: boolean;
  readonly durationMs: number;
}

export interface RunFailure extends RunOutput {
  readonly kind: 'not-found' | 'not-started' | 'exit' | 'signal' | 'timeout' | 'aborted' | 'output-limit';
  /** Set for `exit`. */
  readonly exitCode: number | undefined;
  /** One readable line: program, what happened, and the end of what it said. */
  readonly message: string;
}

/**
 * Runs a program to its end. Exit 0 is the only success; whatever else happens is a typed failure, stderr becomes its message. Never rejects. When it
 * resolves, the child and everything it started have ended.
 */
export async function run(argv: Argv, options: RunOptions): Promise<Result<RunOutput, RunFailure>> {
  const clock = options.clock ?? systemClock;
  const started = clock.monotonic();
  const name = basename(argv[0]);
  const fail = (kind: RunFailure['kind'], what: string, rest: Partial<RunFailure> = {}): Result<RunOutput, RunFailure> => {
    const base = { stdout: '', stderr: '', isCut: false, exitCode: undefined, durationMs: clock.monotonic() - started, ...rest };
    return err({ ...base, kind, message: `${name}: ${what}${lastWords(base.stderr)}` });
  };

  const program = await which(argv[0], { path: options.env['PATH'], pathExt: options.env['PATHEXT'] });
  if (!program) return fail('not-found', 'not found (no such program on PATH)');
  if (options.signal?.aborted) return fail('aborted', 'cancelled before it started');

  let child: ChildProcess;
  options.guard?.prepare();
  try {
    child = start(program, argv.slice(1), options);
  } catch (error) {
    return fail('not-started', error instanceof Error ? error.message : 'could not be started');
  }
  const stdout = collect(child.stdout, options.maxStdoutBytes ?? 1024 * 1024, 'head');
  const stderr = collect(child.stderr, options.maxStderrBytes ?? 64 * 1024, 'tail');
  let cause: 'timeout' | 'aborted' | 'output-limit' | undefined;
  const cancels: (() => void)[] = [];
  const stop = (why: NonNullable<typeof cause>): void => {
    if (cause) return;
    cause = why;
    signalGroup(child, 'SIGTERM');
    cancels.push(clock.after(options.graceMs ?? 2_000, () => signalGroup(child, 'SIGKILL')));
  };
  const onAbort = (): void => stop('aborted');
  options.signal?.addEventListener('abort', onAbort, { once: true });
  cancels.push(
    clock.after(options.timeoutMs, () => stop('timeout')),
    () => options.signal?.removeEventListener('abort', onAbort),
  );
  if (options.onOverflow !== 'cut') stdout.onOverflow(() => stop('output-limit'));

  const unguard = child.pid === undefined ? undefined : options.guard?.watch(child.pid);
  const { code, signal, error } = await ended(child, clock, options.input);
  for (const cancel of cancels) cancel();
  signalGroup(child, 'SIGKILL');
  unguard?.();

  const output = { stdout: stdout.text(), stderr: stderr.text(), isCut: stdout.isCut(), durationMs: clock.monotonic() - started };
  if (error) return fail(error.code === 'ENOENT' ? 'not-found' : 'not-started', error.message, output);
  if (cause === 'timeout') return fail('timeout', `no answer within ${options.timeoutMs} ms`, output);
  if (cause === 'aborted') return fail('aborted', 'cancelled', output);
  if (cause) return fail(cause, `more than ${options.maxStdoutBytes ?? 1024 * 1024} bytes of output`, output);
  if (signal) return fail('signal', `ended by ${signal}`, output);
  if (code !== 0) return fail('exit', `exit ${code}`, { ...output, exitCode: code ?? undefined });
  return ok(output);
}

function start(program: string, args: readonly string[], { env, cwd, input }: RunOptions): ChildProcess {
  return spawn(program, args, {
    env: { ...env },
    cwd: cwd ?? parse(process.execPath).root,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    shell: false,
    windowsHide: true,
    // A process group of its own, so that it can be ended with all that it started.
    detached: process.platform !== 'win32',
  });
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly error?: NodeJS.ErrnoException;
}

function ended(child: ChildProcess, clock: Clock, input: string | Uint8Array | undefined): Promise<Ending> {
  return new Promise((settle) => {
    child.once('error', (error: NodeJS.ErrnoException) => settle({ code: null, signal: null, error }));
    child.once('exit', (code, signal) => {
      const close = (): void => {
        signalGroup(child, 'SIGKILL');
        child.stdout?.destroy();
        child.stderr?.destroy();
        settle({ code, signal });
      };
      const cancel = clock.after(PIPE_GRACE_MS, close);
      child.once('close', () => {
        cancel();
        settle({ code, signal });
      });
    });
    if (input !== undefined) {
      // A child that does not read to the end is no failure of ours.
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    }
  });
}

interface Collected {
  text(): string;
  isCut(): boolean;
  onOverflow(task: () => void): void;
}

/** Keeps the first or the last `max` bytes of a stream, and reads all of it. */
function collect(stream: Readable | null, max: number, keep: 'head' | 'tail'): Collected {
  let chunks: Buffer[] = [];
  let size = 0;
  let cut = false;
  let overflow = (): void => {};
  stream?.on('data', (chunk: Buffer) => {
    if (keep === 'head') {
      const room = max - size;
      if (room > 0) chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
      size += Math.min(chunk.length, Math.max(room, 0));
      if (chunk.length <= room || cut) return;
      cut = true;
      overflow();
    } else {
      chunks.push(chunk);
      size += chunk.length;
      if (size > 2 * max) {
        chunks = [Buffer.concat(chunks).subarray(-max)];
        size = max;
      }
    }
  });
  stream?.on('error', () => {});
  const bytes = (): Buffer => (keep === 'head' ? Buffer.concat(chunks) : Buffer.concat(chunks).subarray(-max));
  return {
    text: () => bytes().toString('utf8'),
    isCut: () => cut,
    onOverflow: (task) => {
      overflow = task;
    },
  };
}

/** The last lines of stderr as the tail of a message; control characters would let a child write on our terminal. */
export function lastWords(stderr: string): string {
  const lines = stderr
    .split(/\r?\n|\r/)
    .map((line) => line.replace(/\p{C}/gu, ' ').trim())
    .filter(Boolean);
  const tail = lines.slice(-3).join(' | ').slice(-400);
  return tail ? `: ${tail}` : '';
}
