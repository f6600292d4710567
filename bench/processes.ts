import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'rolldown';
import { startTestGateway, type TestGateway } from '../test/support/gateway.ts';
import { median } from './row.ts';

/**
 * CPU time that the living threads of a process have used so far, ms. From `schedstat`, in ns: `stat` counts in steps of
 * 10 ms, which is a tenth of a whole start. Linux.
 */
export function cpuMs(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`))
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return ns / 1e6;
}

/** Resident memory, MiB. Linux. */
export function rssMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Runs a program to its end; how long that took, ms. Throws when it does not exit with 0. */
export async function runMs(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const began = performance.now();
  await runToEnd(argv, env);
  return performance.now() - began;
}

/** The most memory that a Node program held resident at once, MiB. A run of its own: asking costs time. */
export async function maxRssMiB(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const [node = '', ...args] = argv;
  const said = await runToEnd([node, '--require', path.join(import.meta.dirname, 'floors', 'max-rss.cjs'), ...args], env);
  return Number(said) / 1024;
}

/** What it wrote to its fourth descriptor. */
async function runToEnd(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const child = spawn(argv[0] as string, argv.slice(1), { env: { ...env }, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
  const texts = { 2: '', 3: '' };
  for (const fd of [2, 3] as const) {
    child.stdio[fd]?.on('data', (chunk: Buffer) => {
      texts[fd] += chunk.toString();
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${argv.join(' ')} exited with ${code}: ${texts[2]}`);
  return texts[3];
}

/** Medians of `runs` rounds in which every case runs once: what disturbs the machine disturbs all of them. */
export async function alternate<Name extends string>(
  runs: number,
  cases: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(cases) as Name[];
  const taken = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (const name of names) await cases[name](); // Files and code into the caches; not counted.
  for (let round = 0; round < runs; round++) {
    // In another order each time: what a case leaves behind (sockets that close, a warm cache) must not hit always the same one.
    names.sort(() => Math.random() - 0.5);
    for (const name of names) taken.get(name)?.push(await cases[name]());
  }
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

/** The bare server of bench/floors, running. */
export async function startBare(host = '127.0.0.1'): Promise<Running> {
  using floor = await bundledFloor('bare-ws-server');
  return await startListening([process.execPath, floor.file, host], { PATH: process.env['PATH'] ?? '' });
}

/** The product as machines of the network reach it, at `host`, with a token of its own. */
export async function startOnNetwork(host: string): Promise<{ readonly gateway: TestGateway; readonly token: string } & AsyncDisposable> {
  const token = randomBytes(32).toString('hex');
  const gateway = await startTestGateway({
    config: JSON.stringify({ gateway: { bind: 'custom', customBindHost: host, auth: { mode: 'token', token } } }),
  });
  return { gateway, token, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

/** An IPv4 address of this machine that is not loopback, as clients on other machines reach it; undefined where there is none. */
export function networkAddress(): string | undefined {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
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
