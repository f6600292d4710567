import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const LAUNCHER = join(ROOT, 'bin', 'openclaw.js');

export interface TestGatewayOptions {
  /** Text of openclaw.json (JSON5). */
  readonly config?: string;
  readonly flags?: readonly string[];
  /** The port is what the config says; otherwise a free one. */
  readonly portOfConfig?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** An existing state dir to start on; it is not removed afterwards. */
  readonly stateDir?: string;
  /** Program and leading arguments instead of this Node and the launcher (`ip netns exec …`, `strace …`). */
  readonly wrap?: readonly string[];
  readonly uid?: number;
  /** What is run instead of the launcher: a script that takes the same arguments. */
  readonly program?: string;
  /** Called with the process as soon as it exists, long before it listens. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

export interface TestGateway extends AsyncDisposable {
  readonly port: number;
  readonly stateDir: string;
  readonly child: ChildProcess;
  readonly url: string;
  readonly httpUrl: string;
  /** The generated token, or what the config says. */
  token(): string;
  /** What it printed so far. */
  output(): string;
  env(): Record<string, string>;
  kill(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** A new, empty state dir. */
export function newStateDir(): string {
  return mkdtempSync(join(tmpdir(), 'ocg-'));
}

/** The environment a product process gets: this machine's PATH, a state dir of its own, nothing of the developer's. */
export function productEnv(stateDir: string, extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: stateDir,
    OPENCLAW_STATE_DIR: stateDir,
    OPENCLAW_DISABLE_BONJOUR: '1',
    LANG: 'C.UTF-8',
    ...extra,
  };
}

/** Boots the real product on a free port and waits until it says that it listens. */
export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const stateDir = options.stateDir ?? newStateDir();
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  if (options.config !== undefined) writeFileSync(join(stateDir, 'openclaw.json'), options.config, { mode: 0o600 });
  const env = productEnv(stateDir, options.env);
  const flags = options.flags ?? [];
  const argv = [
    ...(options.wrap ?? []),
    process.execPath,
    options.program ?? LAUNCHER,
    'gateway',
    'run',
    ...(flags.includes('--port') || options.portOfConfig === true ? [] : ['--port', '0']),
    ...flags,
  ];
  const child = spawn(argv[0] as string, argv.slice(1), {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  options.onSpawn?.(child);
  let output = '';
  const port = await new Promise<number>((resolve, reject) => {
    const deadline = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`gateway said nothing in 20 s; it printed:\n${output}`));
    }, 20_000);
    const onData = (chunk: Buffer): void => {
      output += chunk.toString();
      const match = /listening on wss?:\/\/\S*:(\d+) /.exec(output);
      if (match === null) return;
      clearTimeout(deadline);
      resolve(Number(match[1]));
    };
    child.stdout?.on('data', onData);
    child.stderr?.on('data', onData);
    child.once('exit', (code, signal) => {
      clearTimeout(deadline);
      reject(new Error(`gateway ended with ${code ?? signal} before it listened; it printed:\n${output}`));
    });
    child.once('error', reject);
  });
  const kill = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill(signal);
      await gone;
    }
    return { code: child.exitCode, signal: child.signalCode };
  };
  return {
    port,
    stateDir,
    child,
    url: `ws://127.0.0.1:${port}/`,
    httpUrl: `http://127.0.0.1:${port}`,
    token: () => readFileSync(join(stateDir, 'gateway', 'token'), 'utf8').trim(),
    output: () => output,
    env: () => env,
    kill,
    stop: () => kill('SIGTERM'),
    async [Symbol.asyncDispose]() {
      await kill('SIGKILL');
      if (options.stateDir === undefined) rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** Runs the CLI to its end. */
export async function runCli(
  args: readonly string[],
  options: { env: Readonly<Record<string, string>>; input?: string; wrap?: readonly string[]; timeoutMs?: number },
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const argv = [...(options.wrap ?? []), process.execPath, LAUNCHER, ...args];
  const child = spawn(argv[0] as string, argv.slice(1), { env: { ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const deadline = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000);
  await once(child, 'close');
  clearTimeout(deadline);
  return { code: child.exitCode, stdout, stderr };
}
