import type { Clock } from '../lib/clock.ts';
import type { PresenceEntry } from '../protocol/connect.ts';
import { LIMITS } from '../protocol/limits.ts';

/** Rebuilding the snapshot more often than this would cost more than the handshakes it belongs to. */
const SNAPSHOT_MS = 100;

/** Who is here. Entries of closed connections stay for a while with reason `disconnect`; the table is bounded. */
export class Presence {
  readonly #clock: Clock;
  readonly #self: PresenceEntry;
  readonly #entries = new Map<string, PresenceEntry>();
  #version = 1;
  #json: { text: string; at: number; version: number } | undefined;

  constructor(clock: Clock, self: PresenceEntry) {
    this.#clock = clock;
    this.#self = self;
  }

  /** Rises with every change; goes out as `stateVersion.presence`. */
  get version(): number {
    return this.#version;
  }

  set(key: string, entry: PresenceEntry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#version++;
    if (this.#entries.size > LIMITS.presenceEntries) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
  }

  leave(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.set(key, { ...entry, reason: 'disconnect', ts: this.#clock.now() });
  }

  list(): readonly PresenceEntry[] {
    const oldest = this.#clock.now() - LIMITS.presenceMs;
    for (const [key, entry] of this.#entries) if (entry.reason === 'disconnect' && entry.ts < oldest) this.#entries.delete(key);
    return [{ ...this.#self, ts: this.#clock.now() }, ...this.#entries.values()];
  }

  /** `list()` as JSON. Under a storm of handshakes it may be up to 100 ms old; the `presence` event that follows is not. */
  json(): string {
    const now = this.#clock.monotonic();
    const cached = this.#json;
    if (cached !== undefined && (cached.version === this.#version || now - cached.at < SNAPSHOT_MS)) return cached.text;
    const text = JSON.stringify(this.list());
    this.#json = { text, at: now, version: this.#version };
    return text;
  }
}
