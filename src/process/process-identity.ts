import { readFile } from 'node:fs/promises';
import { childEnv } from './child-env.ts';
import { run } from './run.ts';

/** A process, told apart from a later one that got the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal for the same process only. */
  readonly started: string;
}

/**
 * Who runs under this number now; undefined when nobody does or when it cannot be told (Windows). Linux: boot id and start time
 * of `/proc`; elsewhere `ps`. A zombie has ended.
 */
export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const started = process.platform === 'linux' ? await startedByProc(pid) : await startedByPs(pid);
  return started === undefined ? undefined : { pid, started };
}

/** Whether that very process still runs. `false` too when it cannot be told: what is not proven is not touched. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  return (await identityOf(identity.pid))?.started === identity.started;
}

let bootId: string | undefined;

async function startedByProc(pid: number): Promise<string | undefined> {
  try {
    bootId ??= (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim();
    const ticks = parseStartTicks(await readFile(`/proc/${pid}/stat`, 'latin1'));
    return ticks === undefined ? undefined : `${bootId}:${ticks}`;
  } catch {
    return undefined;
  }
}

/** Field 22 of `/proc/<pid>/stat`. The name in field 2 may hold spaces and brackets, so fields count from the last `)`. */
export function parseStartTicks(stat: string): string | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const isEnded = fields[0] === 'Z' || fields[0] === 'X';
  const ticks = fields[19];
  return !isEnded && ticks !== undefined && /^\d+$/.test(ticks) ? ticks : undefined;
}

async function startedByPs(pid: number): Promise<string | undefined> {
  if (process.platform === 'win32') return undefined;
  const env = childEnv({ PATH: '/bin:/usr/bin', LC_ALL: 'C', TZ: 'UTC' });
  const result = await run(['ps', '-o', 'lstart=', '-p', String(pid)], { env, timeoutMs: 2_000 });
  return result.ok ? result.value.stdout.trim() || undefined : undefined;
}
