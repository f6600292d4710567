import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { JsonObject } from '../../lib/json.ts';
import type { Durability } from '../../protocol/define.ts';
import { eventBody, withSeq } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { ReaderRoom } from '../reader-room.ts';
import { UnsentText } from '../unsent-text.ts';

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
 * A text that may have to wait in the queue goes there as bytes: they are one copy, known to a byte, and need no heap. As a text it would wait
 * twice, on the heap and encoded in the kernel's queue.
 */
const LARGE_TEXT = 64 * 1024;
const TEXT_FRAME = { binary: false };

/** The connection, as its outbox sees it. */
export interface OutboxOwner {
  /** The reader has let more lie than any connection may. */
  fellBehind(): void;
  /** What the reader has not taken changed; 0: it has taken all. Bytes. */
  unsent(bytes: number): void;
}

/**
 * What leaves one connection. The frame's `seq` counts what was really written: from 1, without a hole, whatever was
 * dropped or joined before. Answers to requests are never dropped: a client bounds those itself by asking.
 */
export class Outbox {
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  readonly #owner: OutboxOwner;
  /** What the owner was told last. */
  #unsent = 0;
  #heldBytes = 0;
  #waiting: UnsentText | undefined;
  /** Made when a reader first falls behind: most never do. */
  #held: Map<string, OutEvent> | undefined;
  #seq = 0;
  #dropped = 0;
  readonly #room: ReaderRoom;
  /** Bytes that had left when `isMoving` was asked last. */
  #left = 0;

  constructor(ws: WebSocket, socket: Duplex, owner: OutboxOwner) {
    this.#ws = ws;
    this.#socket = socket;
    this.#owner = owner;
    this.#room = new ReaderRoom(socket);
    socket.on('drain', () => {
      this.#flush();
      this.count();
      this.#room.made();
    });
  }

  /** Bytes that the reader has not taken, held-back events included. */
  get unsent(): number {
    return this.#socket.writableLength + this.#heldBytes;
  }

  /** The socket is closed: nobody reads what waits. */
  drop(): void {
    this.#waiting?.taken(0);
    this.#waiting = undefined;
    this.#held = undefined;
    this.#heldBytes = 0;
  }

  /** Looks at what is unsent; also to be called when the library may have written by itself (pongs). */
  count(): void {
    const { writableLength } = this.#socket;
    this.#waiting?.taken(writableLength);
    if (writableLength === 0) this.#waiting = undefined;
    const now = this.unsent;
    if (now === this.#unsent) return;
    this.#unsent = now;
    this.#owner.unsent(now);
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

  /** See `ReaderRoom`. */
  room(): Promise<void> | undefined {
    return this.#room.wait();
  }

  /** Whether the reader took anything since this was asked last, or has taken all. */
  isMoving(): boolean {
    const before = this.#left;
    this.#left = (this.#socket as Duplex & { readonly bytesWritten?: number }).bytesWritten ?? 0;
    return this.#socket.writableLength === 0 || this.#left !== before;
  }

  /** What `task` sends leaves in one write. */
  together(task: () => void): void {
    this.#socket.cork();
    try {
      task();
    } finally {
      this.#socket.uncork();
    }
    this.count();
  }

  /** A response, or an event that carries no `seq`. */
  text(text: string): void {
    this.#write(text);
  }

  event(event: OutEvent): void {
    if (event.durability !== 'log' && this.#socket.writableLength > SLOW_BYTES) {
      this.#hold(event);
      this.count();
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
      this.#keep(key, joined(earlier, event));
      return;
    }
    if (this.#held.size >= MAX_HELD) {
      const [oldest] = this.#held;
      if (oldest !== undefined) {
        this.#held.delete(oldest[0]);
        this.#heldBytes -= oldest[1].body.length;
      }
      this.#dropped++;
    }
    this.#keep(key, event);
  }

  #keep(key: string, event: OutEvent): void {
    this.#heldBytes += event.body.length - (this.#held?.get(key)?.body.length ?? 0);
    this.#held?.set(key, event);
  }

  #flush(): void {
    if (this.#held === undefined) return;
    const events = this.#held.values();
    this.#held = undefined;
    this.#heldBytes = 0;
    for (const event of events) this.#write(withSeq(event.body, ++this.#seq));
  }

  #write(text: string): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    if (this.#socket.writableLength > LIMITS.maxBufferedBytes) {
      this.#owner.fellBehind();
      return;
    }
    if (text.length > LARGE_TEXT || (this.#unsent > 0 && this.#socket.writableLength > 0)) {
      this.#waiting ??= new UnsentText();
      this.#ws.send(this.#waiting.bytes(text), TEXT_FRAME);
    } else this.#ws.send(text);
    // Nearly always the system has taken it already, and there is nothing to count.
    const isNews = this.#unsent > 0 || this.#socket.writableLength > 0 || this.#waiting !== undefined;
    if (isNews && !(this.#socket.writableCorked > 0)) this.count();
  }
}
