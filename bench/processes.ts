import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'rolldown';
import { median } from './row.ts';

// Clock ticks of `utime` and `stime` in /proc/<pid>/stat: 100 a second on every Linux that Node runs on.
const TICK_MS = 10;

/** CPU time that a process has used so far, ms, to 10 ms. Linux. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything; what follows it is plain.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Resident memory, KiB. Linux. */
export function rssKiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** Runs a program to its end; how long that took, ms. Throws when it does not exit with 0. */
export async function runMs(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const began = performance.now();
  const child = spawn(argv[0] as string, argv.slice(1), { env: { ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${argv.join(' ')} exited with ${code}: ${complaint}`);
  return performance.now() - began;
}

/** Medians of `runs` rounds in which every case runs once: what disturbs the machine disturbs all of them. */
export async function alternate<Name extends string>(
  runs: number,
  cases: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(cases) as Name[];
  const taken = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (const name of names) await cases[name](); // Files and code into the caches; not counted.
  for (let round = 0; round < runs; round++) for (const name of names) taken.get(name)?.push(await cases[name]());
  return Object.fromEntries(names.map((name) => [name, median(taken.get(name) ?? [])])) as Record<Name, number>;
}

/** Something bare to compare with: a script of bench/floors as one minified file, as the product is one. */
export async function bundledFloor(name: string): Promise<{ file: string } & Disposable> {
  const dir = mkdtempSync(path.join(tmpdir(), 'oc-floor-'));
  const file = path.join(dir, `${name}.cjs`);
  await build({
    input: path.join(import.meta.dirname, 'floors', `${name}.ts`),
    platform: 'node',
    external: ['bufferutil', 'utf-8-validate'],
    output: { file, format: 'cjs', minify: true },
    logLevel: 'silent',
  });
  return { file, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}

export interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly port: number;
}

/** Starts a floor (or anything else that prints `listening … :PORT`) and waits until it listens. */
export async function startListening(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<Running> {
  const child = spawn(argv[0] as string, argv.slice(1), { env: { ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const found = /listening on \S+:(\d+)/.exec(output);
      if (found !== null) resolve(Number(found[1]));
    });
    child.once('exit', (code) => reject(new Error(`${argv.join(' ')} ended with ${code} before it listened: ${output}`)));
  });
  return {
    child,
    pid: child.pid as number,
    port,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** A port that nobody uses at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
