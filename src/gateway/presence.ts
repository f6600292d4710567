import type { Clock } from '../lib/clock.ts';
import type { PresenceEntry } from '../protocol/connect.ts';
import { LIMITS } from '../protocol/limits.ts';

interface Line {
  readonly entry: PresenceEntry;
  /** The entry as JSON: made once, because everyone who arrives is told of all the others twice. */
  readonly text: string;
}

/** Who is here. Entries of closed connections stay for a while with reason `disconnect`; the table is bounded. */
export class Presence {
  readonly #clock: Clock;
  readonly #self: PresenceEntry;
  readonly #lines = new Map<string, Line>();
  #version = 1;

  constructor(clock: Clock, self: PresenceEntry) {
    this.#clock = clock;
    this.#self = self;
  }

  /** Rises with every change; goes out as `stateVersion.presence`. */
  get version(): number {
    return this.#version;
  }

  set(key: string, entry: PresenceEntry): void {
    this.#lines.delete(key);
    this.#lines.set(key, { entry, text: JSON.stringify(entry) });
    this.#version++;
    if (this.#lines.size > LIMITS.presenceEntries) {
      const oldest = this.#lines.keys().next().value;
      if (oldest !== undefined) this.#lines.delete(oldest);
    }
  }

  leave(key: string): void {
    const line = this.#lines.get(key);
    if (line === undefined) return;
    this.set(key, { ...line.entry, reason: 'disconnect', ts: this.#clock.now() });
  }

  list(): readonly PresenceEntry[] {
    this.#forget();
    return [this.#own(), ...[...this.#lines.values()].map(({ entry }) => entry)];
  }

  /** `list()` as JSON. */
  json(): string {
    this.#forget();
    let text = `[${JSON.stringify(this.#own())}`;
    for (const line of this.#lines.values()) text += `,${line.text}`;
    return `${text}]`;
  }

  #own(): PresenceEntry {
    return { ...this.#self, ts: this.#clock.now() };
  }

  #forget(): void {
    const oldest = this.#clock.now() - LIMITS.presenceMs;
    for (const [key, { entry }] of this.#lines) if (entry.reason === 'disconnect' && entry.ts < oldest) this.#lines.delete(key);
  }
}
