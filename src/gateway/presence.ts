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
  /** Of all texts. */
  #bytes = 0;

  constructor(clock: Clock, self: PresenceEntry) {
    this.#clock = clock;
    this.#self = self;
  }

  /** Rises with every change; goes out as `stateVersion.presence`. */
  get version(): number {
    return this.#version;
  }

  set(key: string, entry: PresenceEntry): void {
    this.#drop(key);
    const text = JSON.stringify(entry);
    this.#lines.set(key, { entry, text });
    this.#bytes += text.length;
    this.#version++;
    if (this.#lines.size > LIMITS.presenceEntries) {
      const oldest = this.#lines.keys().next().value;
      if (oldest !== undefined) this.#drop(oldest);
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

  /** `list()` as JSON, without the oldest ones beyond `most` bytes: everyone who comes gets it twice, and a crowd comes at once. */
  json(most: number = LIMITS.presenceBytes): string {
    this.#forget();
    let left = this.#bytes;
    let text = `[${JSON.stringify(this.#own())}`;
    for (const line of this.#lines.values()) {
      if (left <= most) text += `,${line.text}`;
      left -= line.text.length;
    }
    return `${text}]`;
  }

  #drop(key: string): void {
    this.#bytes -= this.#lines.get(key)?.text.length ?? 0;
    this.#lines.delete(key);
  }

  #own(): PresenceEntry {
    return { ...this.#self, ts: this.#clock.now() };
  }

  #forget(): void {
    const oldest = this.#clock.now() - LIMITS.presenceMs;
    for (const [key, { entry }] of this.#lines) if (entry.reason === 'disconnect' && entry.ts < oldest) this.#drop(key);
  }
}
