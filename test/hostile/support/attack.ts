import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { newStateDir, ROOT, startTestGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';

/** What the gateway owes everybody else while one caller does its worst. `docs/performance.md` has the table. */
export const BOUNDS = { lagP99Ms: 20, lagWorstMs: 150, rssMiB: 400 } as const;

export interface Figures {
  /** Lateness of the gateway's event loop without what the kernel made it wait for a core, ms. */
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
      await attack();
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
    const { ticks, worst, steps } = JSON.parse(readFileSync(record, 'utf8')) as { ticks: number; worst: number; steps: number[] };
    let seen = 0;
    const p99 = steps.findIndex((count) => {
      seen += count;
      return seen >= ticks * 0.99;
    });
    took.sort((a, b) => a - b);
    const figures: Figures = {
      lag: { p99, worst: Math.round(worst), ticks },
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
      `hostile | ${name} | lag p99 ${p99} ms, worst ${figures.lag.worst} ms | peak ${figures.peakMiB} MiB | neighbour p50 ${figures.neighbour.p50}, p99 ${figures.neighbour.p99}, worst ${figures.neighbour.worst} ms of ${took.length}`,
    );
    return figures;
  }

  return { ...gateway, under, rssMiB, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

const round = (ms: number): number => Math.round(ms * 10) / 10;

/** The bounds every attack has to stay within. */
export function expectWithinBounds(figures: Figures): void {
  expect(figures.lag.worst, 'worst lag of the event loop, ms').toBeLessThanOrEqual(BOUNDS.lagWorstMs);
  expect(figures.lag.p99, 'p99 lag of the event loop, ms').toBeLessThanOrEqual(BOUNDS.lagP99Ms);
  expect(figures.peakMiB, 'peak memory, MiB').toBeLessThanOrEqual(BOUNDS.rssMiB);
  expect(figures.neighbour.failed, 'refused calls of the neighbour').toBe(0);
}
