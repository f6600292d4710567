import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../config/env.ts';
import { isRecord } from '../lib/json.ts';
import { childEnv } from '../process/child-env.ts';
import { run } from '../process/run.ts';

/** The newer build has this long, ms, to say its version. */
const TRY_MS = 10_000;

/**
 * At a restart: goes on as the build that lies on disk now, under the same process id, when that is another than the one
 * that runs. Does not return then. Returns where it is the same, where the system cannot replace a process (Windows),
 * for sources run from a checkout, and when a stop has been wished meanwhile: what comes next is the caller's.
 */
export async function renew(root: string, runningBuild: string, env: Env, isStopWished: () => boolean): Promise<void> {
  if (process.platform === 'win32' || process.execve === undefined || runningBuild === 'dev') return;
  const built = buildOnDisk(root);
  if (built === undefined || built === runningBuild) return;
  const [, launcher = ''] = process.argv;
  // A build that cannot even say its version would leave nobody running.
  const tried = await run([process.execPath, launcher, '--version'], { env: childEnv(env), timeoutMs: TRY_MS });
  if (!tried.ok) return;
  // A signal that the system has handed over and Node has not yet would be lost with this program: one turn, then it is known.
  await new Promise(setImmediate);
  if (isStopWished()) return;
  try {
    process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], { ...env });
  } catch {
    // What runs is better than nothing.
  }
}

/** The manifest is written last, so that a build that is under way does not count yet. */
function buildOnDisk(root: string): string | undefined {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(root, 'dist', 'build.json'), 'utf8'));
    return isRecord(manifest) && typeof manifest['buildId'] === 'string' ? manifest['buildId'] : undefined;
  } catch {
    return undefined;
  }
}
