import { isRecord } from '../lib/json.ts';
import { fs, path } from './builtins.ts';
import type { Paths } from './paths.ts';

/**
 * The port that this state dir's running gateway says it listens on, or undefined when none runs. It may be another than
 * the config's: `--port`, a free one, or a config that changed since the start.
 */
export function announcedPort(paths: Pick<Paths, 'gatewayDir'>): number | undefined {
  try {
    const owner: unknown = JSON.parse(fs.readFileSync(path.join(paths.gatewayDir, 'owner.json'), 'utf8'));
    if (!isRecord(owner) || typeof owner['pid'] !== 'number' || !Number.isInteger(owner['port'])) return undefined;
    process.kill(owner['pid'], 0);
    return owner['port'] as number;
  } catch {
    // No note, half a note, or one of a process that has ended.
    return undefined;
  }
}
