import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';

/** Sees to it that groups of children do not outlive this process. */
export interface OrphanGuard {
  /** Has the guard standing before a child is started, so that no child is ever without. */
  prepare(): void;
  /** From now on the group ends when this process does, however it does. The returned function takes that back. */
  watch(group: number): () => void;
}

/**
 * Holds a list of process groups, told over stdin; the end of stdin means that whoever wrote is gone, by `kill -9` too, since the kernel closes the
 * pipe. Ignores the signals that a whole service gets at once, or it would go before its parent has finished draining.
 */
const SCRIPT = `
trap '' HUP INT TERM
groups=''
while read -r verb group; do
  case "$verb" in
    +) groups="$groups $group" ;;
    -) kept=''
       for g in $groups; do [ "$g" = "$group" ] || kept="$kept $g"; done
       groups=$kept ;;
  esac
done
for g in $groups; do kill -s TERM -- "-$g" 2>/dev/null; done
tries=0
while [ -n "$groups" ] && [ "$tries" -lt 30 ]; do
  sleep 0.1
  kept=''
  for g in $groups; do kill -s 0 -- "-$g" 2>/dev/null && kept="$kept $g"; done
  groups=$kept
  tries=$((tries + 1))
done
for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
`;

/** Somebody who keeps ending the guard does so on purpose. */
const MAX_RESTARTS = 5;

/**
 * One small `/bin/sh` for all children of this process, started with the first of them. On Windows, and where there is no `/bin/sh`, nothing of
 * the kind is possible from Node: there children of a process that was ended by force live on.
 */
export function orphanGuard(): OrphanGuard {
  const groups = new Set<number>();
  let guard: ChildProcess | undefined;
  let restarts = 0;

  const tell = (verb: '+' | '-', group: number): void => void guard?.stdin?.write(`${verb} ${group}\n`);
  const begin = (): void => {
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'openclaw-guard'], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      detached: true,
    });
    guard = child;
    child.on('error', () => {});
    child.stdin.on('error', () => {});
    child.on('exit', () => {
      if (guard !== child) return;
      guard = undefined;
      if (groups.size > 0 && restarts++ < MAX_RESTARTS) begin();
    });
    // Neither the guard nor its pipe keeps us alive.
    child.unref();
    (child.stdin as Socket).unref();
    for (const group of groups) tell('+', group);
  };

  return {
    prepare() {
      if (!guard && process.platform !== 'win32') begin();
    },
    watch(group) {
      if (process.platform === 'win32') return () => {};
      groups.add(group);
      if (guard) tell('+', group);
      else begin();
      return () => {
        if (groups.delete(group)) tell('-', group);
      };
    },
  };
}

let shared: OrphanGuard | undefined;
/** The guard of this process. */
export function processGuard(): OrphanGuard {
  shared ??= orphanGuard();
  return shared;
}
