import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { PIECE_BYTES } from '../held-bytes.ts';
import { Pile } from '../pile.ts';

/** What is private to the library and looked at here: its version is pinned exactly, and a test would notice. */
interface Receiver {
  /** Pieces as they came, of a frame that is not complete. */
  _buffers: Buffer[];
  _bufferedBytes: number;
  /** Of a message that is not complete. */
  _fragments: Buffer[];
}

/** An unfinished frame below this stays in the pieces in which it came. */
const SMALL_BYTES = 32 * 1024;

/**
 * What a WebSocket keeps of messages that are not complete: counts it, and keeps it in a pile of our own. A fragment of one byte would otherwise keep
 * all of the piece alive that it came in.
 */
export class Unfinished {
  readonly #receiver: Receiver;
  #pile: Pile | undefined;
  #bytes = 0;

  /** `owner` hears of every piece that arrived, after it was looked at. */
  constructor(ws: WebSocket, socket: Duplex, owner: { arrived(): void }) {
    this.#receiver = (ws as unknown as { _receiver: Receiver })._receiver;
    // Behind the library's own listener: what is still there now is what it keeps.
    socket.on('data', () => {
      this.#look();
      owner.arrived();
    });
  }

  /** Memory, not payload: each piece is an object too. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The connection is over: what it held goes back now, and not when the socket is collected. */
  drop(): void {
    const receiver = this.#receiver;
    receiver._buffers = [];
    receiver._bufferedBytes = 0;
    receiver._fragments = [];
    this.#pile?.drop();
    this.#pile = undefined;
    this.#bytes = 0;
  }

  #look(): void {
    const { _buffers: pieces, _fragments: fragments, _bufferedBytes: buffered } = this.#receiver;
    if (fragments.length === 0 && buffered < SMALL_BYTES) {
      this.#pile = undefined;
      // The first may be the rest of a longer piece.
      const [first] = pieces;
      this.#bytes = first === undefined ? 0 : buffered - first.length + first.buffer.byteLength + pieces.length * PIECE_BYTES;
      return;
    }
    this.#pile ??= new Pile();
    this.#bytes = this.#take(fragments, false) + this.#take(pieces, true) + (fragments.length + pieces.length) * PIECE_BYTES;
  }

  /** Moves into the pile what is not there yet, which is the last ones. The library counts fragments: those stay as many as they are. */
  #take(list: Buffer[], join: boolean): number {
    let own = list.length;
    while (own > 0 && !Pile.holds(list[own - 1] as Buffer)) own--;
    for (const piece of list.splice(own)) {
      if (join) this.#pile?.add(piece, list);
      else {
        const views: Buffer[] = [];
        this.#pile?.add(piece, views);
        list.push(views.length === 1 ? (views[0] as Buffer) : piece);
      }
    }
    let bytes = 0;
    for (const { length } of list) bytes += length;
    return bytes;
  }
}
