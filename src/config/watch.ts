import type { Cancel, Clock } from '../lib/clock.ts';
import type { Result } from '../lib/result.ts';
import { Pauses } from './breathe.ts';
import { fs, path } from './builtins.ts';
import { type ChangedPath, changedPaths } from './changes.ts';
import type { ConfigProblem, ConfigSnapshot } from './load.ts';

/** How often files are looked at beside being watched: mounts of other machines and containers tell nobody of changes. */
export const POLL_MS = 10_000;
const LARGE_CHARS = 64 * 1024;
/** A longer `gateway.reload.debounceMs` is cut to this: what guards access has to count within two seconds. */
const MAX_DEBOUNCE_MS = 1_000;

export interface ConfigChange {
  readonly snapshot: ConfigSnapshot;
  readonly changed: readonly ChangedPath[];
}

export interface WatchOptions {
  /** What holds now. */
  readonly current: ConfigSnapshot;
  /** Reads the config anew (`loadConfig` with the same flags and environment), as the given generation. */
  readonly load: (generation: number) => Promise<Result<ConfigSnapshot, ConfigProblem>>;
  readonly clock: Clock;
  /** A valid change that makes a difference. */
  readonly onChange: (change: ConfigChange) => void;
  /** A text that is not valid: nothing was taken over. Told once per text. */
  readonly onProblem: (problem: ConfigProblem) => void;
}

export interface ConfigWatch {
  /** What holds now. */
  current(): ConfigSnapshot;
  /** Reads now, without waiting for a quiet moment. Resolves when it was judged. */
  reload(): Promise<void>;
  stop: Cancel;
}

/**
 * Follows the config, its includes and the `.env` of the state dir. Directories are watched, not files: a file watch dies
 * at the first atomic rename. A wrong text changes nothing and is reported.
 */
export function watchConfig(options: WatchOptions): ConfigWatch {
  const { clock } = options;
  let current = options.current;
  let stopped = false;
  let cancelDebounce: Cancel = () => {};
  let lastProblem = '';
  let running: Promise<void> = Promise.resolve();
  let seen = signature(filesOf(current));
  const watchers = new Map<string, { close(): void }>();

  const read = async (): Promise<void> => {
    if (stopped) return;
    seen = signature(filesOf(current));
    const result = await options.load(current.generation + 1);
    if (stopped) return;
    if (!result.ok) {
      const key = `${result.error.message}\n${result.error.raw ?? ''}`;
      if (key !== lastProblem) options.onProblem(result.error);
      lastProblem = key;
      return;
    }
    lastProblem = '';
    // Comparing a large one and taking it over are work of their own: others have their turn before.
    if (result.value.raw.length > LARGE_CHARS) await new Pauses().now();
    const changed = changedPaths(current, result.value);
    // A comment that changed is no change, but edits must be made against the new text: the snapshot is kept.
    const news = changed.length > 0;
    if (!news && result.value.raw === current.raw) return;
    current = news ? result.value : Object.freeze({ ...result.value, generation: current.generation });
    seen = signature(filesOf(current));
    watch();
    if (news) options.onChange({ snapshot: current, changed });
  };
  // One after the other, so that an older text never wins over a newer; after one that threw, too.
  const reload = (): Promise<void> => {
    running = running.then(read, read);
    return running;
  };
  const soon = (): void => {
    cancelDebounce();
    cancelDebounce = clock.after(Math.min(current.config.gateway.reload.debounceMs, MAX_DEBOUNCE_MS), () => void reload());
  };

  const watch = (): void => {
    const wanted = new Set(filesOf(current).map((file) => path.dirname(file)));
    for (const [dir, watcher] of watchers) {
      if (wanted.has(dir)) continue;
      watcher.close();
      watchers.delete(dir);
    }
    for (const dir of wanted) {
      if (watchers.has(dir)) continue;
      try {
        const watcher = fs.watch(dir, { persistent: false }, (_event, name) => {
          // Temporary files of editors and of our own state come and go; the poll's comparison tells what counts.
          if (name === null || signature(filesOf(current)) !== seen) soon();
        });
        watcher.on('error', () => {
          watcher.close();
          watchers.delete(dir);
        });
        watchers.set(dir, watcher);
      } catch {
        // Not there yet, or out of watches: the poll sees it.
      }
    }
  };

  watch();
  const cancelPoll = clock.every(POLL_MS, () => {
    watch();
    if (signature(filesOf(current)) !== seen) soon();
  });

  return {
    current: () => current,
    reload,
    stop: () => {
      stopped = true;
      cancelDebounce();
      cancelPoll();
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
    },
  };
}

// The config with what its symlink leads to, everything it included, and `.env`, whether they exist or not.
function filesOf(snapshot: ConfigSnapshot): readonly string[] {
  const { configPath, dotenvPath } = snapshot.paths;
  let real = configPath;
  try {
    real = fs.realpathSync(configPath);
  } catch {
    // Not there yet.
  }
  return [...new Set([configPath, real, dotenvPath, ...snapshot.files])];
}

function signature(files: readonly string[]): string {
  return files.map(stamp).join(' ');
}

function stamp(file: string): string {
  try {
    const stat = fs.statSync(file, { bigint: true });
    return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
  } catch {
    return '-';
  }
}
