import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { CrashClient, nothingSeen, type Seen, wallMs } from './crash-client.ts';
import { freePort } from './free-port.ts';
import { runCli, startTestGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts';
import { checkFinal, checkProduct, type FinalFindings, type Kill, type ProductFindings, readCopy } from './product-check.ts';
import { type ScriptedProvider, startScriptedProvider } from './scripted-provider.ts';
import { randomFrom } from './seed.ts';
import { Starvation } from './starvation.ts';
import { until } from './until.ts';
import { newDevice } from './wire.ts';

/** How long (ms) a life lasts at most before it is killed, from spawn while it starts, from listening while it streams. */
const STARTING_MS = 250;
const STREAMING_MS = 1300;
/** Those that die in the act do so at most this long after a message has left. */
const ACT_MS = 3;

export interface CrashLoopOptions {
  /** Its state dir; the caller removes it. */
  readonly dir: string;
  readonly seed: number;
  /** Kills while clients stream, and further ones while the gateway starts. */
  readonly kills: number;
  readonly startKills: number;
  readonly clients: number;
  /** Instead of the built product: a script with the same arguments. */
  readonly program?: string;
  /** Goes on past every other finding until an acknowledged send is lost: for a gateway that is broken on purpose. */
  readonly untilLost?: boolean;
}

export interface CrashLoopReport {
  readonly kills: { readonly streaming: number; readonly starting: number };
  readonly sends: { readonly all: number; readonly acknowledged: number; readonly repeated: number };
  readonly runs: Readonly<Record<string, number>>;
  readonly done: Readonly<Record<string, number>>;
  /**
   * Ms from spawn until `/readyz` said 200 and a hello-ok had come, each life that got so far, sorted; here and below
   * without the time in which others kept the gateway from running.
   */
  readonly ready: readonly number[];
  /** Ms until the last of all clients had its hello-ok again, sorted. */
  readonly allBack: readonly number[];
  /** Of runs that were cut: age (ms) of the oldest token that was lost, sorted. */
  readonly lostTails: readonly number[];
  readonly tookMs: number;
  readonly complaints: readonly string[];
  /** With those of `FinalFindings` when it came to its end. */
  readonly findings: ProductFindings;
}

/** The config of a gateway whose one model is a scripted provider. */
export const scriptedConfig = (provider: Pick<ScriptedProvider, 'url'>, more: object = {}): string =>
  JSON.stringify({
    agents: { defaults: { model: 'scripted/model', maxConcurrent: 16 } },
    models: {
      providers: {
        scripted: { baseUrl: provider.url, apiKey: 'not-a-secret', api: 'openai-completions', models: [{ id: 'model', name: 'Model' }] },
      },
    },
    ...more,
  });

export interface CrashSite {
  readonly file: string;
  readonly boot: TestGatewayOptions;
  readonly clients: readonly CrashClient[];
  readonly seen: Seen;
  /** Resolves when the next message has been handed to a socket. */
  nextSend(): Promise<void>;
  /** One more life, unharmed: everybody gets the answers that are missing, everything that waits runs, and it ends by itself. */
  finish(kills: readonly Kill[]): Promise<FinalFindings>;
}

/** A state dir with a scripted model and clients that live through crashes. */
export async function crashSite(options: {
  readonly dir: string;
  readonly provider: ScriptedProvider;
  readonly seed: number;
  readonly clients: number;
  /** Of the clients' names, and so of their keys. */
  readonly prefix?: string;
  readonly program?: string;
}): Promise<CrashSite> {
  const { dir, provider, seed, program, prefix = 'c' } = options;
  const random = randomFrom(seed);
  fs.mkdirSync(path.join(dir, 'workspace'), { recursive: true, mode: 0o700 });
  fs.writeFileSync(path.join(dir, 'workspace', 'notes.md'), 'The lobster is blue.\n');
  fs.writeFileSync(path.join(dir, 'openclaw.json'), scriptedConfig(provider), { mode: 0o600 });
  const boot: TestGatewayOptions = {
    stateDir: dir,
    flags: ['--port', String(await freePort(random))],
    ...(program !== undefined && { program }),
  };
  const seen = nothingSeen();
  let sending = Promise.withResolvers<void>();
  const onSend = (): void => {
    sending.resolve();
    sending = Promise.withResolvers<void>();
  };
  const clients = Array.from(
    { length: options.clients },
    (_, index) =>
      new CrashClient({
        name: `${prefix}${index}`,
        protocol: index % 2 === 0 ? 3 : 4,
        device: newDevice(),
        random: randomFrom(seed + 1 + index),
        seen,
        onSend,
      }),
  );
  const file = path.join(dir, 'gateway', 'gateway.sqlite');
  return {
    file,
    boot,
    clients,
    seen,
    nextSend: () => sending.promise,
    async finish(kills) {
      const last = await startTestGateway(boot);
      try {
        await Promise.all(clients.map((client) => client.settle(last.url, last.token())));
        // Kills that came twice in the moment in which the same message was taken up have set it aside.
        for (const runId of heldRuns(file)) {
          seen.setAside.add(runId);
          await runCli(['sessions', 'retry', runId], { env: last.env() });
        }
        await until(() => unfinishedRuns(file) === 0, 60_000);
      } finally {
        await last.stop();
      }
      if (last.child.exitCode !== 0) throw new Error(`the last gateway ended with ${last.child.exitCode}:\n${last.output()}`);
      const sent = await provider.sent();
      return readCopy(file, (db) => checkFinal(db, seen, sent, kills));
    },
  };
}

/**
 * Kills a gateway -9 again and again at instants of the seed while clients stream, and compares after each kill what
 * they were told with what the file holds. At the end everything must have been finished. Stops at the first finding.
 */
export async function crashLoop(options: CrashLoopOptions): Promise<CrashLoopReport> {
  const began = performance.now();
  const random = randomFrom(options.seed);
  await using provider = await startScriptedProvider({ seed: options.seed });
  const site = await crashSite({ ...options, provider });
  const { file, boot, seen } = site;

  const killed: Kill[] = [];
  const kills = { streaming: 0, starting: 0 };
  const ready: number[] = [];
  const allBack: number[] = [];
  const report = (findings: ProductFindings, lostTails: readonly number[] = []): CrashLoopReport => {
    const all = [...seen.sends.values()];
    return {
      kills,
      sends: {
        all: all.length,
        acknowledged: all.filter(({ ackedAt }) => ackedAt !== undefined).length,
        repeated: all.filter(({ tries }) => tries.length > 1).length,
      },
      done: seen.done,
      runs: readCopy(file, runsByStatus),
      ready: sorted(ready),
      allBack: sorted(allBack),
      lostTails: sorted(lostTails),
      tookMs: Math.round(performance.now() - began),
      complaints: seen.complaints,
      findings,
    };
  };

  // Which life ends while it starts, drawn beforehand.
  const lives = shuffled([...Array(options.kills).fill('streaming'), ...Array(options.startKills).fill('starting')] as Life[], random);
  for (const [index, life] of lives.entries()) {
    if (life === 'starting') killed.push(await killedWhileStarting(boot, random() * STARTING_MS));
    else {
      // Every other one right after a message has left: between its commit and its acknowledgement lies about a millisecond.
      const lived = await killedWhileStreaming(site, random() * STREAMING_MS, random() < 0.5 ? random() * ACT_MS : undefined);
      killed.push(lived.killed);
      if (lived.readyMs !== undefined) ready.push(lived.readyMs);
      if (lived.allBackMs !== undefined) allBack.push(lived.allBackMs);
    }
    kills[life]++;
    for (const runId of readCopy(file, heldIn)) seen.setAside.add(runId);
    const findings = readCopy(file, (db) => checkProduct(db, seen, { quick: index % 10 !== 9 }));
    const isWrong = seen.complaints.length > 0 || Object.values(findings).some((list) => list.length > 0);
    if (options.untilLost === true ? findings.lost.length > 0 : isWrong) return report(findings);
  }
  const { lostTails, ...findings } = await site.finish(killed);
  return report(findings, lostTails);
}

type Life = 'streaming' | 'starting';

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}

const sorted = (list: readonly number[]): number[] => list.map(Math.round).sort((a, b) => a - b);

const runsByStatus = (db: DatabaseSync): Record<string, number> =>
  Object.fromEntries(
    db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'runs'").get()?.['n'] === 1
      ? db
          .prepare('SELECT status, count(*) AS n FROM runs GROUP BY status')
          .all()
          .map(({ status, n }) => [String(status), Number(n)])
      : [],
  );

async function killedWhileStarting(boot: TestGatewayOptions, afterMs: number): Promise<Kill> {
  let killed: Kill | undefined;
  let exited: Promise<unknown> = Promise.resolve();
  const started = startTestGateway({
    ...boot,
    onSpawn(child: ChildProcess) {
      exited = once(child, 'exit');
      const starvation = new Starvation(child.pid ?? 0);
      setTimeout(() => {
        killed = kill(child, starvation);
      }, afterMs);
    },
  }).catch((thrown: unknown) => thrown);
  await exited;
  const outcome = await started;
  // Only our own kill may end it.
  if (killed === undefined) throw new Error(`it ended by itself: ${outcome}`);
  return killed;
}

interface Lived {
  readonly killed: Kill;
  readonly readyMs: number | undefined;
  readonly allBackMs: number | undefined;
}

async function killedWhileStreaming(
  { boot, clients, nextSend }: CrashSite,
  afterMs: number,
  afterSendMs: number | undefined,
): Promise<Lived> {
  const spawned = wallMs();
  const gateway = await startTestGateway(boot);
  const starvation = new Starvation(gateway.child.pid ?? 0);
  const secret = gateway.token();
  const hellos: number[] = [];
  let readyz: number | undefined;
  const lives = clients.map((client) => client.live(gateway.url, secret, () => hellos.push(wallMs())));
  const ready = untilReady(gateway).then((isReady) => {
    if (isReady) readyz = wallMs();
  });
  await pause(afterMs);
  if (afterSendMs !== undefined) {
    // None comes when all clients are out.
    await Promise.race([nextSend(), pause(500)]);
    await pause(afterSendMs);
  }
  if (gateway.child.exitCode !== null || gateway.child.signalCode !== null) throw new Error(`it ended by itself:\n${gateway.output()}`);
  const killed = kill(gateway.child, starvation);
  await gateway.kill('SIGKILL');
  await Promise.all([...lives, ready]);
  const took = (until: number | undefined): number | undefined =>
    until === undefined ? undefined : until - spawned - starvation.until(until);
  const [first] = hellos;
  return {
    killed,
    readyMs: readyz === undefined || first === undefined ? undefined : took(Math.max(readyz, first)),
    allBackMs: hellos.length === clients.length ? took(hellos.at(-1)) : undefined,
  };
}

function kill(child: ChildProcess, starvation: Starvation): Kill {
  starvation.stop();
  const at = wallMs();
  child.kill('SIGKILL');
  return { at, starvedSince: (since) => starvation.since(since) };
}

/** True when `/readyz` has said 200, false when the process was gone before. */
async function untilReady(gateway: TestGateway): Promise<boolean> {
  for (;;) {
    try {
      const response = await fetch(`${gateway.httpUrl}/readyz`, { headers: { connection: 'close' } });
      await response.arrayBuffer();
      if (response.status === 200) return true;
    } catch {
      return false;
    }
    await pause(2);
  }
}

/** As a live database shows it to a reader beside the gateway. */
export function unfinishedRuns(file: string): number {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return Number(db.prepare("SELECT count(*) AS n FROM runs WHERE status IN ('queued', 'running')").get()?.['n']);
  } finally {
    db.close();
  }
}

function heldRuns(file: string): string[] {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return heldIn(db);
  } finally {
    db.close();
  }
}

const heldIn = (db: DatabaseSync): string[] =>
  db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'run_waiting'").get()?.['n'] === 1
    ? db
        .prepare('SELECT run_id FROM run_waiting WHERE held_at IS NOT NULL')
        .all()
        .map(({ run_id }) => String(run_id))
    : [];

/** The p-th percentile of a sorted list. */
export const percentile = (sorted: readonly number[], p: number): number | undefined =>
  sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))];
