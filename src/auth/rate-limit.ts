import type { Clock } from '../lib/clock.ts';

/** `gateway.auth.rateLimit`. Always in force; a config without it gets these. */
export interface RateLimitSettings {
  readonly maxAttempts: number;
  readonly windowMs: number;
  readonly lockoutMs: number;
  /** Callers on `local` without an Origin are slowed instead of locked. */
  readonly exemptLoopback: boolean;
}
export const DEFAULT_RATE_LIMIT: RateLimitSettings = { maxAttempts: 10, windowMs: 60_000, lockoutMs: 300_000, exemptLoopback: true };

/** What is guessed at. Each has a table of its own: a wrong hook token locks nobody's shared secret. */
export type GuessClass = 'shared-secret' | 'pairing-code' | 'hook';

/** Whose guess it is. */
export interface Guesser {
  /** Ingress and limiter key of the address. */
  readonly key: string;
  readonly isLocal: boolean;
  readonly isBrowser: boolean;
  readonly isPublic: boolean;
}

/** Wrong answers per second that a slowed caller can learn, and how many may wait for theirs. */
export const SLOWED = { intervalMs: 100, waiting: 40 } as const;
/** Wrong password guesses per hour from everywhere but this machine's own user. */
export const PASSWORD_CAP = { guesses: 100, windowMs: 3_600_000 } as const;
/** Behind a public exposure, and for codes, fewer tries are enough for anybody honest. */
export const STRICT_ATTEMPTS = 5;
/** Addresses remembered per class. */
export const MAX_TRACKED = 4_096;

interface Track {
  count: number;
  windowEnds: number;
  lockedUntil: number;
}

/**
 * Counts wrong credentials only, per class and address. It is asked before anything is compared, so a locked caller learns nothing; one
 * that is only slowed is compared all the same. It never holds back a paired device's signed token: that is not asked here.
 */
export class AuthLimiter {
  readonly #clock: Clock;
  readonly #settings: () => RateLimitSettings;
  readonly #tables = new Map<GuessClass, Map<string, Track>>();
  /** When the next wrong answer of a slowed caller may leave. One lane: all of them are this machine's own user. */
  #nextSlot = 0;
  readonly #passwordGuesses: number[] = [];

  constructor(clock: Clock, settings: () => RateLimitSettings = () => DEFAULT_RATE_LIMIT) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** ms until this caller may try again; 0 when it may now. `isPassword` for a shared secret that people choose themselves. */
  wait(guessed: GuessClass, who: Guesser, isPassword = false): number {
    const now = this.#clock.monotonic();
    if (this.isSlowed(who)) return Math.max(0, this.#nextSlot - now - SLOWED.intervalMs * SLOWED.waiting);
    const track = this.#tables.get(guessed)?.get(who.key);
    const locked = track === undefined ? 0 : Math.max(0, track.lockedUntil - now);
    return Math.max(locked, isPassword && !who.isLocal ? this.#passwordWait(now) : 0);
  }

  /** This machine's own user: only its wrong answers wait, what is right is let in whatever is guessed beside it. */
  isSlowed(who: Guesser): boolean {
    return who.isLocal && !who.isBrowser && this.#settings().exemptLoopback;
  }

  /** Records a wrong guess; how long (ms) its answer is to be held back. */
  wrong(guessed: GuessClass, who: Guesser, isPassword = false): number {
    const now = this.#clock.monotonic();
    if (isPassword && !who.isLocal) this.#notePassword(now);
    if (this.isSlowed(who)) {
      this.#nextSlot = Math.max(now, this.#nextSlot) + SLOWED.intervalMs;
      return this.#nextSlot - now;
    }
    const { maxAttempts, windowMs, lockoutMs } = this.#settings();
    const table = this.#table(guessed);
    const old = table.get(who.key);
    const track = old !== undefined && old.windowEnds > now ? old : { count: 0, windowEnds: now + windowMs, lockedUntil: 0 };
    track.count++;
    const allowed = who.isPublic || guessed === 'pairing-code' ? Math.min(maxAttempts, STRICT_ATTEMPTS) : maxAttempts;
    if (track.count >= allowed) {
      track.lockedUntil = now + lockoutMs;
      track.windowEnds = Math.max(track.windowEnds, track.lockedUntil);
      track.count = 0;
    }
    // Re-inserted at the end: the map's order is the order of last wrong guesses, which is what makes room.
    table.delete(who.key);
    if (table.size >= MAX_TRACKED) evict(table, now);
    table.set(who.key, track);
    return 0;
  }

  /**
   * A wrong password from somebody whom another credential lets in. It is no failure, so no address is locked for it; but it is a guess,
   * and the cap counts all of them: else whoever may come in anyway could try passwords without end.
   */
  passwordBeside(who: Guesser): void {
    if (!who.isLocal) this.#notePassword(this.#clock.monotonic());
  }

  /** A right credential of this class forgives the wrong ones before it. */
  right(guessed: GuessClass, who: Guesser): void {
    this.#tables.get(guessed)?.delete(who.key);
  }

  /** Callers locked now, for `status`. */
  locked(): number {
    const now = this.#clock.monotonic();
    let count = 0;
    for (const table of this.#tables.values()) for (const track of table.values()) if (track.lockedUntil > now) count++;
    return count;
  }

  #table(guessed: GuessClass): Map<string, Track> {
    const known = this.#tables.get(guessed);
    if (known !== undefined) return known;
    const fresh = new Map<string, Track>();
    this.#tables.set(guessed, fresh);
    return fresh;
  }

  #passwordWait(now: number): number {
    while ((this.#passwordGuesses[0] ?? now) <= now - PASSWORD_CAP.windowMs) this.#passwordGuesses.shift();
    const oldest = this.#passwordGuesses[0];
    return oldest === undefined || this.#passwordGuesses.length < PASSWORD_CAP.guesses ? 0 : oldest + PASSWORD_CAP.windowMs - now;
  }

  #notePassword(now: number): void {
    this.#passwordGuesses.push(now);
    if (this.#passwordGuesses.length > PASSWORD_CAP.guesses) this.#passwordGuesses.shift();
  }
}

/** The longest silent one that is not locked goes; where all are locked, the one that is locked the shortest. */
function evict(table: Map<string, Track>, now: number): void {
  let soonest: string | undefined;
  let soonestUntil = Number.POSITIVE_INFINITY;
  for (const [key, track] of table) {
    if (track.lockedUntil <= now) {
      table.delete(key);
      return;
    }
    if (track.lockedUntil < soonestUntil) {
      soonest = key;
      soonestUntil = track.lockedUntil;
    }
  }
  if (soonest !== undefined) table.delete(soonest);
}
