import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'vitest';
import { newStateDir, ROOT, startTestGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';

/**
 * `HOSTILE_SLACK=2`: times may be twice as long and memory a third more, for machines that others use too, whose disks and cores stall and whose collector
 * comes late. What is printed is what was measured.
 */
export const TIMES = Number(process.env['HOSTILE_SLACK'] ?? 1);
/** What the gateway owes everybody else while one caller does its worst. */
export const BOUNDS = { lagP99Ms: 20 * TIMES, lagWorstMs: 150 * TIMES, rssMiB: TIMES > 1 ? 520 : 400 } as const;

const MIN_MS = 3_000;

export interface Figures {
  /** Lateness of the gateway's event loop, ms: what is judged. On a busy machine it is the time it worked, else the time that passed. */
  readonly lag: { readonly p99: number; readonly worst: number; readonly ticks: number };
  /** Peak resident memory of the gateway's process since the attack began, MiB. */
  readonly peakMiB: number;
  /** How long `health` took for another client in a process of its own, ms; on the clock of the wall. */
  readonly neighbour: {
    readonly p50: number;
    readonly p99: number;
    readonly worst: number;
    readonly asked: number;
    readonly failed: number;
  };
}

export interface WatchedGateway extends TestGateway {
  /**
   * Runs `attack` with the probes beside it and gives the figures. A gateway that does not answer the neighbour any more, or
   * has died, throws. The name is printed with the figures.
   */
  under(name: string, attack: () => Promise<void>): Promise<Figures>;
  /** Resident memory now, MiB. */
  rssMiB(): number;
  /** The longest hold of the event loop since this was last asked, ms; judged as `Figures.lag` is, in 5 ms instead of 3 s. */
  worstHold(): Promise<number>;
  /** Processor time that all its threads have used, ms. */
  cpuMs(): number;
}

/** Boots the product with the loop probe in it. */
export async function startWatchedGateway(options: TestGatewayOptions = {}): Promise<WatchedGateway> {
  const stateDir = options.stateDir ?? newStateDir();
  const record = join(stateDir, 'loop-probe.json');
  const gateway = await startTestGateway({
    ...options,
    stateDir,
    env: {
      ...options.env,
      OCG_LOOP_PROBE: record,
      NODE_OPTIONS: `--require ${join(ROOT, 'test', 'hostile', 'support', 'loop-probe.cjs')}`,
    },
  });
  const pid = gateway.child.pid ?? 0;
  const kib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 'NaN');
  const rssMiB = (): number => kib('VmRSS') / 1024;

  async function worstHold(): Promise<number> {
    writeFileSync(`${record}.ask`, '');
    for (let asked = 0; existsSync(`${record}.ask`); asked++) {
      if (asked > 10_000 || gateway.child.exitCode !== null) throw new Error(`the loop does not turn any more:\n${gateway.output()}`);
      await wait(1);
    }
    const { wall, ran } = JSON.parse(readFileSync(`${record}.worst`, 'utf8')) as { wall: number; ran: number };
    return isBusy() ? ran : wall;
  }
  const cpuMs = (): number =>
    readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
      try {
        return sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
      } catch {
        // It ended since the list was made.
        return sum;
      }
    }, 0);

  async function under(name: string, attack: () => Promise<void>): Promise<Figures> {
    const neighbour = spawn(process.execPath, [join(import.meta.dirname, 'neighbour.mjs'), gateway.url, gateway.token()], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let said = '';
    neighbour.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    await until(() => said.startsWith('ready'));
    writeFileSync(`${record}.reset`, '');
    await until(() => !existsSync(`${record}.reset`));
    // Linux keeps the peak since the last time somebody wrote 5 here.
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    try {
      // A hundredth of a moment says nothing: what follows a short attack counts too.
      await Promise.all([attack(), wait(MIN_MS)]);
    } finally {
      const gone = once(neighbour, 'exit');
      neighbour.stdin.end();
      await gone;
    }
    if (gateway.child.exitCode !== null || gateway.child.signalCode !== null) throw new Error(`the gateway has died:\n${gateway.output()}`);
    const { took, failed, closed } = JSON.parse(said.slice(said.indexOf('{'))) as { took: number[]; failed: number; closed: boolean };
    if (closed) throw new Error('the neighbour was thrown out');
    const at = (sorted: readonly number[], part: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    // One more write of the probe, so that its record covers the whole attack.
    const before = readFileSync(record, 'utf8');
    await until(() => readFileSync(record, 'utf8') !== before);
    const { wall, ran } = JSON.parse(readFileSync(record, 'utf8')) as Record<'wall' | 'ran', Lateness>;
    const lag = lagOf(isBusy() ? ran : wall);
    took.sort((a, b) => a - b);
    const figures: Figures = {
      lag,
      peakMiB: Math.round(kib('VmHWM') / 1024),
      neighbour: {
        p50: round(at(took, 0.5)),
        p99: round(at(took, 0.99)),
        worst: round(took.at(-1) ?? 0),
        asked: took.length,
        failed,
      },
    };
    console.log(
      `hostile | ${name} | lag p99 ${lag.p99} ms, worst ${lag.worst} ms${isBusy() ? ' (busy machine)' : ''} | peak ${figures.peakMiB} MiB | neighbour p50 ${figures.neighbour.p50}, p99 ${figures.neighbour.p99}, worst ${figures.neighbour.worst} ms of ${took.length}`,
    );
    return figures;
  }

  return { ...gateway, under, rssMiB, worstHold, cpuMs, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

/** With others on both cores even the kernel's own account of waiting leaves things out (threads that collect garbage). */
const isBusy = (): boolean => (loadavg()[0] ?? 0) > 1.8;

interface Lateness {
  readonly ticks: number;
  readonly worst: number;
  /** How many ticks were so many ms late. */
  readonly steps: readonly number[];
}

function lagOf({ ticks, worst, steps }: Lateness): Figures['lag'] {
  let seen = 0;
  const p99 = steps.findIndex((count) => {
    seen += count;
    return seen >= ticks * 0.99;
  });
  return { p99, worst: Math.round(worst), ticks };
}

const round = (ms: number): number => Math.round(ms * 10) / 10;

/** The bounds every attack has to stay within. */
export function expectWithinBounds(figures: Figures): void {
  expect(figures.lag.worst, 'worst lag of the event loop, ms').toBeLessThanOrEqual(BOUNDS.lagWorstMs);
  expect(figures.lag.p99, 'p99 lag of the event loop, ms').toBeLessThanOrEqual(BOUNDS.lagP99Ms);
  expect(figures.peakMiB, 'peak memory, MiB').toBeLessThanOrEqual(BOUNDS.rssMiB);
  expect(figures.neighbour.failed, 'refused calls of the neighbour').toBe(0);
}
