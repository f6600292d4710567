import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { EVENT_LOG_STEP } from '../../src/store/sqlite/event-log.ts';
import { openDatabase } from '../../src/store/sqlite/open.ts';
import { checkStore, type StoreFindings } from './store-check.ts';

const WRITER = path.join(import.meta.dirname, 'store-writer.ts');

export interface KillLoop {
  readonly dir: string;
  readonly kills: number;
  readonly mode: 'honest' | 'early';
  readonly random: () => number;
}
export interface KillLoopReport extends StoreFindings {
  readonly kills: number;
  readonly acknowledged: number;
  /** The longest that opening took after a kill, ms. */
  readonly slowestOpenMs: number;
  /** How often opening met a log that a kill had left. */
  readonly uncleanOpens: number;
}

/**
 * Starts a writer on the same file again and again and kills it -9 at an instant of `random`, some while it still opens
 * the file; after each kill compares what it acknowledged with what the file holds, and opens it as the gateway would.
 * Stops at the first finding.
 */
export async function killLoop(options: KillLoop): Promise<KillLoopReport> {
  const file = path.join(options.dir, 'gateway.sqlite');
  const ackFile = path.join(options.dir, 'acks');
  let report: KillLoopReport = { kills: 0, acknowledged: 0, slowestOpenMs: 0, uncleanOpens: 0, lost: [], twice: [], holes: [], damage: [] };
  for (let run = 0; run < options.kills; run++) {
    await killed(file, `${run}`, options.mode, ackFile, options.random);
    const acknowledged = fs
      .readFileSync(ackFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('!'));
    // Ours opens first, so that it meets what the kill left; the stranger's read goes beside it.
    const began = performance.now();
    const opened = await openDatabase(file, { schemas: [EVENT_LOG_STEP] });
    const openMs = performance.now() - began;
    if (!opened.ok) throw opened.error;
    const findings = checkStore(file, acknowledged);
    await opened.value.close();
    report = {
      kills: run + 1,
      acknowledged: acknowledged.length,
      slowestOpenMs: Math.max(report.slowestOpenMs, openMs),
      uncleanOpens: report.uncleanOpens + Number(opened.value.opened.unclean),
      ...findings,
    };
    if (findings.lost.length + findings.twice.length + findings.holes.length + findings.damage.length > 0) return report;
  }
  return report;
}

async function killed(file: string, run: string, mode: string, ackFile: string, random: () => number): Promise<void> {
  // A file, not a pipe: what was written to it before the kill is there, and only that.
  const acks = fs.openSync(ackFile, 'a', 0o600);
  const child = spawn(process.execPath, [WRITER, file, run, mode], { stdio: ['ignore', 'pipe', 'ignore', acks] });
  fs.closeSync(acks);
  const exited = once(child, 'exit');
  // One in six dies while it starts or opens the file; the others while they write.
  const early = random() < 1 / 6;
  const delay = random() * (early ? 120 : 80);
  if (!early && child.stdout !== null) await Promise.race([once(child.stdout, 'data'), exited]);
  const timer = setTimeout(() => child.kill('SIGKILL'), delay);
  await exited;
  clearTimeout(timer);
}
