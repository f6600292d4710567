import type { Cancel, Clock } from '../lib/clock.ts';

/** How often memory is looked at, ms. */
const LOOK_MS = 10_000;
/** More than this times the least that was ever resident is worth a collection. */
const MUCH = 1.25;
/** See `hintCollection`. */
const NUDGES = 8;
const NUDGE_BYTES = 33 * 1024 * 1024;
const NUDGE_MS = 50;

/** Looks in a row that ask for a collection after something came or went: V8 may leave one half done when nothing happens meanwhile. */
const ROUNDS = 8;

/**
 * Lets V8 collect when a crowd has left. It collects when a program asks for memory, and a gateway that is idle again asks for none: what the crowd
 * had would stay resident until the next one.
 */
export function giveBackWhenIdle(clock: Clock, connections: () => number, rss = (): number => process.memoryUsage.rss()): Cancel {
  let least = rss();
  /** What there was after the last collection. */
  let last = { rss: 0, connections: 0 };
  let rounds = 0;
  return clock.every(LOOK_MS, () => {
    const now = { rss: rss(), connections: connections() };
    least = Math.min(least, now.rss);
    if (now.connections < last.connections || Math.abs(now.rss - last.rss) > least / 16) rounds = ROUNDS;
    // Enough, or another one would find nothing.
    if (now.rss <= least * MUCH || rounds === 0) return;
    rounds--;
    nudge(clock, NUDGES, () => {
      last = { rss: rss(), connections: now.connections };
    });
  });
}

/**
 * Memory beside the heap that is asked for and never touched: the system gives pages only to who writes to them, and V8, which counts it, begins to
 * mark in small steps. `gc()` would do it in one step and stop everything for that long. False on a system that promises no memory that it may not
 * have.
 */
export function hintCollection(): boolean {
  try {
    new ArrayBuffer(NUDGE_BYTES);
    return true;
  } catch {
    return false;
  }
}

function nudge(clock: Clock, left: number, done: () => void): void {
  // What there is stays.
  if (left === 0 || !hintCollection()) return done();
  clock.after(NUDGE_MS, () => nudge(clock, left - 1, done));
}
