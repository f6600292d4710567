import type { Cancel, Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { escapeUnseen } from '../lib/redact.ts';
import type { AuditEntry, AuditSink } from './ports.ts';

export const AUDIT = {
  /** Lines are written together, this long (ms) after the first of them. */
  flushMs: 1_000,
  /** Refusals alike are one line per window, admissions alike one per hour. */
  refusedWindowMs: 60_000,
  admittedWindowMs: 3_600_000,
  /** Different groups counted at once; what comes on top is counted together. */
  groups: 256,
  /** Lines that may wait to be written; more are dropped, and their number is written. */
  queue: 1_000,
  /** Longest text from outside in one field. */
  fieldChars: 300,
} as const;

interface Group {
  readonly entry: AuditEntry;
  readonly ends: number;
  /** Seen after the first, which has been written. */
  more: number;
}

/**
 * Who came, who was turned away, who changed what. The first of its kind is written within a second, the ones alike that follow are
 * counted and written as one line when their window ends: a flood costs a few lines, whatever its size.
 */
export class AuditTrail {
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #groups = new Map<string, Group>();
  #queue: AuditEntry[] = [];
  #dropped = 0;
  #cancel: Cancel | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(sink: AuditSink, clock: Clock, log: Log) {
    this.#sink = sink;
    this.#clock = clock;
    this.#log = log;
  }

  /** A single event: always a line of its own. */
  event(entry: Omit<AuditEntry, 'atMs' | 'count'>): void {
    this.#enqueue({ ...clean(entry), atMs: this.#clock.now(), count: 1 });
  }

  /** One of many: counted with those alike. */
  counted(entry: Omit<AuditEntry, 'atMs' | 'count'>, windowMs: number): void {
    const now = this.#clock.monotonic();
    this.#endWindows(now);
    const line: AuditEntry = { ...clean(entry), atMs: this.#clock.now(), count: 1 };
    const key = [entry.event, entry.code, entry.actor, entry.deviceId, entry.ingress, entry.address, entry.client].join('\u0000');
    const group = this.#groups.get(key);
    if (group !== undefined) {
      group.more++;
      return;
    }
    if (this.#groups.size >= AUDIT.groups) {
      const others = this.#groups.get('') ?? {
        entry: { event: 'others', atMs: line.atMs, count: 0 },
        ends: now + AUDIT.refusedWindowMs,
        more: 0,
      };
      others.more++;
      this.#groups.set('', others);
      this.#arm();
      return;
    }
    this.#groups.set(key, { entry: line, ends: now + windowMs, more: 0 });
    this.#enqueue(line);
  }

  /** Writes all that is known by now; resolves when the sink has it. */
  async flush(): Promise<void> {
    this.#endWindows(Number.POSITIVE_INFINITY);
    this.#write();
    await this.#writing;
  }

  #endWindows(now: number): void {
    for (const [key, group] of this.#groups) {
      if (group.ends > now) continue;
      this.#groups.delete(key);
      if (group.more > 0) this.#enqueue({ ...group.entry, count: group.more });
    }
  }

  #enqueue(entry: AuditEntry): void {
    if (this.#queue.length >= AUDIT.queue) this.#dropped++;
    else this.#queue.push(entry);
    this.#arm();
  }

  #arm(): void {
    this.#cancel ??= this.#clock.after(AUDIT.flushMs, () => {
      this.#cancel = undefined;
      this.#endWindows(this.#clock.monotonic());
      this.#write();
      if ([...this.#groups.values()].some(({ more }) => more > 0)) this.#arm();
    });
  }

  #write(): void {
    const lines = this.#queue;
    this.#queue = [];
    if (this.#dropped > 0) lines.push({ event: 'audit-lines-dropped', atMs: this.#clock.now(), count: this.#dropped });
    this.#dropped = 0;
    if (lines.length === 0) return;
    this.#writing = this.#writing
      .then(() => this.#sink.append(lines))
      .catch((thrown: unknown) => this.#log.error('the audit log could not be written', { lines: lines.length, cause: messageOf(thrown) }));
  }
}

/** Bounded and printable: a field may hold what a stranger sent. */
function clean<T extends object>(entry: T): T {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(entry))
    if (value !== undefined) out[key] = typeof value === 'string' ? printable(value, AUDIT.fieldChars) : value;
  return out as T;
}

/** Cut to `max` characters and on one line, so that a name cannot forge another. */
export const printable = (text: string, max: number): string => escapeUnseen([...text.slice(0, max * 2)].slice(0, max).join(''));
