import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { PIECE_BYTES } from '../held-bytes.ts';
import type { Held } from '../intake/intake.ts';
import { type Pieces, SMALL_PIECE, type Source } from '../intake/pieces.ts';
import { Pile, release } from '../pile.ts';

/** What is private to the library and looked at here: its version is pinned exactly, and tests would notice. */
interface Receiver {
  /** Pieces as they came, of a frame that is not complete. */
  _buffers: Buffer[];
  _bufferedBytes: number;
  /** Of a message that is not complete. */
  _fragments: Buffer[];
  readonly _state: number;
  readonly _payloadLength: number;
  _mask: Buffer | undefined;
  /** Of the stream that it is. */
  readonly errored: Error | null;
  readonly writableEnded: boolean;
}
/** The value of `_state` inside of a payload. */
const IN_PAYLOAD = 4;

const copyOf = (bytes: Buffer): Buffer => {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
};

/** An unfinished frame below this stays in the pieces in which it came. */
const SMALL_BYTES = 32 * 1024;

/**
 * Stands between a socket and the library that reads frames from it. Hands over what arrived, a little at a time when it may hold many frames; and
 * counts what the library keeps of messages that are not complete, and keeps it in a pile of our own: a fragment of one byte would otherwise keep
 * all of the piece alive that it came in.
 */
export class Unfinished implements Source, Held {
  readonly #ws: WebSocket;
  readonly #receiver: Receiver;
  readonly #socket: Duplex;
  readonly #pieces: Pieces;
  readonly #read: (piece: Buffer) => void;
  readonly #owner: { held(bytes: number): void };
  /** What was not handed over yet. */
  #rest: Buffer[] | undefined;
  #pile: Pile | undefined;
  /** A message lies in the pile that was handed out. */
  #isPileOut = false;
  #isDelivering = false;
  #isHeld = false;
  #wasHolding = false;
  #bytes = 0;

  /** `owner` hears of what is held after every piece, as long as it is something, and once when it is nothing any more. Bytes. */
  constructor(ws: WebSocket, socket: Duplex, pieces: Pieces, owner: { held(bytes: number): void }) {
    this.#ws = ws;
    this.#receiver = (ws as unknown as { _receiver: Receiver })._receiver;
    this.#socket = socket;
    this.#pieces = pieces;
    this.#owner = owner;
    const [read] = socket.listeners('data');
    if (read === undefined) throw new Error('the library does not listen to its socket');
    this.#read = read as (piece: Buffer) => void;
    socket.off('data', this.#read);
    socket.on('data', (piece: Buffer) => {
      if (this.#rest !== undefined || (piece.length > SMALL_PIECE && !pieces.hasTime())) this.#wait(piece);
      else this.#hand(piece);
      this.#tell();
    });
  }

  /** Memory, not payload: each piece is an object too. */
  get bytes(): number {
    let waiting = 0;
    if (this.#rest !== undefined) for (const { buffer } of this.#rest) waiting += buffer.byteLength;
    return this.#bytes + waiting;
  }

  /** This message was handed out: whoever works on it may still read the piece in which it came. */
  delivered(message: Buffer): void {
    this.#isDelivering = true;
    if (Pile.holds(message)) this.#isPileOut = true;
  }

  /** Nothing more is read until `letIn`. */
  hold(): void {
    this.#isHeld = true;
    this.#rest ??= [];
    this.#socket.pause();
  }
  letIn(): void {
    this.#isHeld = false;
    this.#pieces.later(this);
  }

  goOn(): void {
    if (this.#isHeld) return;
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest === undefined) return;
    for (const piece of rest) {
      if (this.#rest === undefined) this.#hand(piece);
      else this.#wait(piece);
    }
    this.#tell();
    // Somebody else may have stopped it too: frames that wait for their turn.
    if (this.#rest === undefined && !this.#ws.isPaused) this.#socket.resume();
  }

  /** The connection is over: what it held goes back now, and not when the socket is collected. */
  drop(): void {
    const receiver = this.#receiver;
    receiver._buffers = [];
    receiver._bufferedBytes = 0;
    receiver._fragments = [];
    this.#rest = undefined;
    this.#isHeld = false;
    this.#pieces.forget(this);
    this.#endPile();
    this.#bytes = 0;
  }

  /** A message of several slabs was joined by the library: a copy, so that the slabs can go at once. */
  #endPile(): void {
    if (!this.#isPileOut) this.#pile?.drop();
    this.#pile = undefined;
    this.#isPileOut = false;
  }

  #tell(): void {
    const isHolding = this.#bytes > 0 || this.#rest !== undefined;
    if (isHolding || this.#wasHolding) this.#owner.held(this.bytes);
    this.#wasHolding = isHolding;
  }

  #wait(piece: Buffer): void {
    this.#socket.pause();
    if (this.#rest === undefined) this.#rest = [piece];
    else this.#rest.push(piece);
    this.#pieces.later(this);
  }

  #hand(piece: Buffer): void {
    const receiver = this.#receiver;
    if (piece.byteOffset === 0) this.#isDelivering = false;
    for (let from = 0; from < piece.length; ) {
      if (this.#isOver) break;
      const ofThisFrame = receiver._state === IN_PAYLOAD ? receiver._payloadLength - receiver._bufferedBytes : 0;
      const to = Math.min(piece.length, from + Math.max(SMALL_PIECE, ofThisFrame));
      this.#read.call(this.#socket, from === 0 && to === piece.length ? piece : piece.subarray(from, to));
      from = to;
      if (from < piece.length && !this.#pieces.hasTime()) {
        this.#look();
        return this.#wait(piece.subarray(from));
      }
    }
    this.#look();
    this.#letGo(piece);
  }

  /** After a close frame or an error the library wants nothing any more. */
  get #isOver(): boolean {
    return this.#receiver.errored !== null || this.#receiver.writableEnded;
  }

  /**
   * Frees the memory of a piece that was handed over to its end, if it brought no message: a flood of pings, or of what nobody wants any more, leaves
   * no garbage. What little of it is still needed is copied.
   */
  #letGo({ buffer, byteOffset, length }: Buffer): void {
    const memory = buffer as ArrayBuffer;
    // Empty: it went into the pile.
    if (this.#isDelivering || memory.byteLength === 0 || byteOffset + length !== memory.byteLength) return;
    if (!this.#isOver) {
      const receiver = this.#receiver;
      const { _buffers: pieces, _fragments: fragments, _mask: mask } = receiver;
      if (fragments.some((each) => each.buffer === memory)) return;
      const left = pieces.filter((each) => each.buffer === memory);
      if (left.reduce((sum, each) => sum + each.length, 0) > memory.byteLength / 4) return;
      if (left.length > 0) {
        receiver._buffers = pieces.map((each) => (each.buffer === memory ? copyOf(each) : each));
        this.#look();
      }
      // It is read from the piece in which it came.
      if (mask?.buffer === memory) receiver._mask = copyOf(mask);
    }
    release(new Uint8Array(memory));
  }

  #look(): void {
    const { _buffers: pieces, _fragments: fragments, _bufferedBytes: buffered } = this.#receiver;
    if (fragments.length === 0 && buffered < SMALL_BYTES) {
      this.#endPile();
      // The first may be the rest of a longer piece.
      const [first] = pieces;
      this.#bytes = first === undefined ? 0 : buffered - first.length + first.buffer.byteLength + pieces.length * PIECE_BYTES;
      return;
    }
    this.#pile ??= new Pile();
    this.#bytes = this.#take(fragments) + this.#take(pieces) + (fragments.length + pieces.length) * PIECE_BYTES;
  }

  /** Moves into the pile what is not there yet, which is the last ones. Gives the bytes of all. */
  #take(list: Buffer[]): number {
    let own = list.length;
    while (own > 0 && !Pile.holds(list[own - 1] as Buffer)) own--;
    for (const piece of list.splice(own)) this.#pile?.add(piece, list);
    let bytes = 0;
    for (const { length } of list) bytes += length;
    return bytes;
  }
}
