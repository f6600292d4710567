import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Pieces, Source } from '../intake/pieces.ts';
import { release } from '../pile.ts';

/** So much is handed to the parser at a time: a hundred and fifty of the shortest requests, of which each becomes thousands of bytes of objects. */
const SLICE = 4 * 1024;

/** What Node keeps with a socket, and looks at to stop reading from it. */
interface NodeSocket extends Socket {
  /** Set when the answers of pipelined requests wait for their reader, cleared before it resumes. */
  readonly _paused?: boolean;
  readonly parser?: { readonly incoming: (IncomingMessage & { readonly _dumped?: boolean }) | null } | null;
}

/**
 * Stands between a socket and Node's parser of requests, which makes objects of all that arrived at once: a piece of 64 KiB may hold two thousand
 * requests. Hands over a little at a time, in turns with other connections, and nothing while `hold`, while a body is not read, or while Node has paused
 * the connection for answers that wait: its parser throws at whatever comes then.
 */
export class HttpFeed implements Source {
  readonly #socket: NodeSocket;
  readonly #pieces: Pieces;
  readonly #read: (piece: Buffer) => void;
  /** What was not handed over yet, in order. */
  #rest: Buffer[] = [];
  /** So many bytes that come next belong to a body: they are handed over as they came, which lets whoever keeps them free the rest. */
  bodyLeft = 0;
  #isHeld = false;
  #isHanding = false;
  #hasLeft = false;

  /** For a connection whose server has begun to listen to it, and which has brought nothing yet. */
  constructor(socket: Socket, pieces: Pieces) {
    this.#socket = socket;
    this.#pieces = pieces;
    const [read] = socket.listeners('data');
    if (read === undefined) throw new Error('the http server does not listen to its connection');
    this.#read = read as (piece: Buffer) => void;
    socket.off('data', this.#read);
    // Its parser reads from the system by itself; a listener ends that.
    socket.on('data', this.#take);
    socket.on('resume', this.#onResume);
    socket.on('close', this.#end);
  }

  readonly #end = (): void => {
    this.#rest = [];
    this.#pieces.forget(this);
  };

  /** Nothing more is handed over, until `release`. */
  hold(): void {
    this.#isHeld = true;
    this.#socket.pause();
  }

  release(): void {
    if (!this.#isHeld || this.#hasLeft) return;
    this.#isHeld = false;
    if (this.#rest.length > 0) this.#pieces.later(this);
    else if (!this.#isStopped) this.#socket.resume();
  }

  /** The connection speaks something else from now on: what follows the request goes back into the socket. To be called before anybody else hears of it. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#socket.off('data', this.#take);
    this.#socket.off('resume', this.#onResume);
    // It lives for days from here on, without us.
    this.#socket.off('close', this.#end);
    feeds.delete(this.#socket);
    this.#pieces.forget(this);
    // In memory of its own: whoever reads it frees all of the memory in which a piece ends, and Node's pool is shared with everybody.
    const rest = Buffer.allocUnsafeSlow(this.#rest.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of this.#rest) at += piece.copy(rest, at);
    this.#rest = [];
    if (rest.length > 0) this.#socket.unshift(rest);
  }

  /** Its turn has come. */
  goOn(): void {
    if (this.#isStopped || this.#hasLeft) return;
    this.#hand();
    if (this.#rest.length === 0 && !this.#isStopped && !this.#hasLeft) this.#socket.resume();
  }

  get #isStopped(): boolean {
    return this.#isHeld || this.#socket._paused === true || this.#isUnread;
  }

  /** So much waits of a body that Node has paused the connection: it resumes when that is read, and what is handed over before would pile up. */
  get #isUnread(): boolean {
    const incoming = this.#socket.parser?.incoming;
    if (!incoming || incoming.complete || incoming._dumped === true) return false;
    return incoming.readableLength >= incoming.readableHighWaterMark;
  }

  /** Node reads on. What waits here comes first. */
  readonly #onResume = (): void => {
    if (this.#rest.length > 0) this.#wait();
  };

  readonly #take = (piece: Buffer): void => {
    this.#rest.push(piece);
    // What arrives inside of another hand-over is behind that.
    if (this.#isHanding) return;
    if (piece.length <= SLICE && this.#rest.length === 1 && !this.#isStopped) this.#hand();
    else if (this.#isStopped || !this.#pieces.hasTime()) this.#wait();
    else this.#hand();
  };

  #wait(): void {
    this.#socket.pause();
    if (!this.#isStopped) this.#pieces.later(this);
  }

  #hand(): void {
    this.#isHanding = true;
    try {
      for (;;) {
        const piece = this.#rest[0];
        if (piece === undefined || this.#socket.destroyed) return;
        const isWhole = piece.length <= Math.max(SLICE, this.bodyLeft);
        if (isWhole) this.#rest.shift();
        else this.#rest[0] = piece.subarray(SLICE);
        this.bodyLeft = Math.max(0, this.bodyLeft - piece.length);
        this.#read.call(this.#socket, isWhole ? piece : piece.subarray(0, SLICE));
        if (this.#hasLeft) return;
        // The parser has copied what it needs, and the collector may come late.
        if (isWhole && piece.byteOffset + piece.length === piece.buffer.byteLength) release(new Uint8Array(piece.buffer as ArrayBuffer));
        if (this.#rest.length === 0) return;
        if (this.#isStopped || !this.#pieces.hasTime()) return this.#wait();
      }
    } finally {
      this.#isHanding = false;
    }
  }
}

const feeds = new WeakMap<object, HttpFeed>();

/** Feeds this connection's parser; once, at its beginning. */
export const feedHttp = (socket: Socket, pieces: Pieces): void => void feeds.set(socket, new HttpFeed(socket, pieces));

/** The one of this connection. */
export const httpFeed = (socket: object): HttpFeed | undefined => feeds.get(socket);
