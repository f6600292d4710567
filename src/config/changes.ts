import { isRecord } from '../lib/json.ts';
import { formatPath, type KeyPath } from './key-path.ts';
import type { ConfigSnapshot } from './load.ts';
import { reloadAt } from './lookup.ts';
import type { Config } from './options.ts';
import type { Reload } from './spec.ts';
import { sameJson } from './tree.ts';

export interface ChangedPath {
  readonly path: string;
  readonly reload: Reload;
}

const MAX_CHANGED = 500;
const STRICTNESS: Readonly<Record<Reload, number>> = { none: 0, hot: 1, restart: 2 };

/** The places in which two snapshots differ, as deep as objects go (lists count as one value). */
export function changedPaths(before: ConfigSnapshot, after: ConfigSnapshot): readonly ChangedPath[] {
  // Who follows the file and who takes the change over ask the same, one right after the other.
  if (asked?.before === before && asked.after === after) return asked.changed;
  const changed = compare(before, after);
  asked = { before, after, changed };
  return changed;
}
let asked: { readonly before: ConfigSnapshot; readonly after: ConfigSnapshot; readonly changed: readonly ChangedPath[] } | undefined;

function compare(before: ConfigSnapshot, after: ConfigSnapshot): readonly ChangedPath[] {
  const changed = new Map<string, Reload>();
  const note = (keys: KeyPath): void => {
    const reload = reloadAt(keys);
    // Beyond what anybody reads, parts of the file are named instead of places in them; the strictest of their wishes counts.
    const path = formatPath(changed.size < MAX_CHANGED ? keys : keys.slice(0, 2));
    const before = changed.get(path);
    if (before === undefined || STRICTNESS[reload] > STRICTNESS[before]) changed.set(path, reload);
  };
  const walk = (a: unknown, b: unknown, keys: KeyPath): void => {
    if (a === b) return;
    // An object that comes or goes is told by what is in it.
    const left = a ?? {};
    const right = b ?? {};
    const keysOfBoth = isRecord(left) && isRecord(right) ? new Set([...Object.keys(left), ...Object.keys(right)]) : new Set<string>();
    if (!isRecord(left) || !isRecord(right) || keysOfBoth.size === 0) {
      if (!sameJson(a, b)) note(keys);
    } else for (const key of keysOfBoth) walk(left[key], right[key], [...keys, key]);
  };
  walk(before.config, after.config, []);
  // Variables of `.env` count too; those of the process cannot change.
  walk(before.env, after.env, ['env']);
  return [...changed].map(([path, reload]) => ({ path, reload }));
}

export type ReloadMode = Config['gateway']['reload']['mode'];
export interface ReloadPlan {
  /** What the gateway does now. */
  readonly action: 'nothing' | 'apply' | 'restart';
  /** Changes that wait for a restart by hand. */
  readonly ignored: readonly string[];
}

/** What a set of changes asks for under a reload mode: `hybrid` in place where possible, else a restart. */
export function reloadPlan(changes: readonly ChangedPath[], mode: ReloadMode): ReloadPlan {
  const needRestart = changes.filter((change) => change.reload === 'restart').map((change) => change.path);
  if (changes.length === 0) return { action: 'nothing', ignored: [] };
  if (mode === 'off')
    return { action: 'nothing', ignored: changes.filter((change) => change.reload !== 'none').map((change) => change.path) };
  if (mode === 'restart') return { action: changes.some((change) => change.reload !== 'none') ? 'restart' : 'apply', ignored: [] };
  if (mode === 'hot') return { action: needRestart.length === changes.length ? 'nothing' : 'apply', ignored: needRestart };
  return { action: needRestart.length > 0 ? 'restart' : 'apply', ignored: [] };
}
