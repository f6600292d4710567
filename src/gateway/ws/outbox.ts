import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { JsonObject } from '../../lib/json.ts';
import type { Durability } from '../../protocol/define.ts';
import { eventBody, withSeq } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';

/** One event, as one receiver gets it: its body without `seq` (see `eventBody`), and how it may be treated when the reader is slow. */
export interface OutEvent {
  readonly event: string;
  readonly payload: unknown;
  readonly body: string;
  readonly durability: Durability;
  /** Held-back events of one key become one; `join` says how where the later one holds only the difference. */
  readonly key?: string;
  readonly join?: (earlier: JsonObject, later: JsonObject) => JsonObject;
}

/** Two waiting events of one key as one. */
export function joined(earlier: OutEvent, later: OutEvent): OutEvent {
  if (later.join === undefined) return later;
  const payload = later.join(earlier.payload as JsonObject, later.payload as JsonObject);
  return { ...later, payload, body: eventBody(later.event, payload) };
}

/** From here on a reader counts as slow and droppable events are held back. */
export const SLOW_BYTES = 256 * 1024;
/** Held-back events of one connection; past it the oldest goes (its reader resumes from state events). */
const MAX_HELD = 64;

/**
 * What leaves one connection. The frame's `seq` counts what was really written: from 1, without a hole, whatever was
 * dropped or joined before. Answers to requests are never dropped: a client bounds those itself by asking.
 */
export class Outbox {
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  readonly #onOverflow: () => void;
  /** Made when a reader first falls behind: most never do. */
  #held: Map<string, OutEvent> | undefined;
  #seq = 0;
  #dropped = 0;

  constructor(ws: WebSocket, socket: Duplex, onOverflow: () => void) {
    this.#ws = ws;
    this.#socket = socket;
    this.#onOverflow = onOverflow;
    socket.on('drain', () => this.#flush());
  }

  /** Bytes that were written and that the reader has not taken yet. */
  get backlog(): number {
    return this.#socket.writableLength;
  }

  /** Frames written with a `seq`. */
  get seq(): number {
    return this.#seq;
  }
  /** Events that were dropped or joined because the reader was slow. */
  get dropped(): number {
    return this.#dropped;
  }

  /** What `task` sends leaves in one write. */
  together(task: () => void): void {
    this.#socket.cork();
    try {
      task();
    } finally {
      this.#socket.uncork();
    }
  }

  /** A response, or an event that carries no `seq`. */
  text(text: string): void {
    this.#write(text);
  }

  event(event: OutEvent): void {
    if (event.durability !== 'log' && this.#socket.writableLength > SLOW_BYTES) {
      this.#hold(event);
      return;
    }
    // What was held back came first; a reader must not see an ending before the text that it ends.
    if (this.#held !== undefined) this.#flush();
    this.#write(withSeq(event.body, ++this.#seq));
  }

  #hold(event: OutEvent): void {
    const { key } = event;
    if (key === undefined) {
      this.#dropped++;
      return;
    }
    this.#held ??= new Map();
    const earlier = this.#held.get(key);
    if (earlier !== undefined) {
      this.#dropped++;
      this.#held.set(key, joined(earlier, event));
      return;
    }
    if (this.#held.size >= MAX_HELD) {
      const oldest = this.#held.keys().next().value;
      if (oldest !== undefined) this.#held.delete(oldest);
      this.#dropped++;
    }
    this.#held.set(key, event);
  }

  #flush(): void {
    if (this.#held === undefined) return;
    const events = this.#held.values();
    this.#held = undefined;
    for (const event of events) this.#write(withSeq(event.body, ++this.#seq));
  }

  #write(text: string): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    if (this.#socket.writableLength > LIMITS.maxBufferedBytes) {
      this.#onOverflow();
      return;
    }
    this.#ws.send(text);
  }
}
