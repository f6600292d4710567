import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HeldPorts, Holder, Way } from '../held-bytes.ts';
import { httpFeed } from './http-feed.ts';

/** A request that waits for its turn on a connection, beside what it says: two objects of Node with all they hold. Bytes. */
const REQUEST_BYTES = 4 * 1024;

/** With so many requests unanswered nothing more is read from a connection, until few are left. */
const MANY = 64;
const FEW = 16;

/** With many waiting they are counted now and then: each count looks at all of them. */
const isDue = (waiting: number): boolean => waiting < FEW || waiting % FEW === 0;

/** What one HTTP connection makes us keep: a body that is not complete, and answers that nobody takes. */
export class HttpConnection implements Holder {
  /** The peer's address, until a credential says more. */
  heldKey: string;
  readonly #socket: Socket;
  readonly #held: HeldPorts;
  readonly #answers = new Set<ServerResponse>();
  #body = 0;
  /** Ends the body that is being read; set as long as one is. */
  onBodyGivenUp: (() => void) | undefined;

  constructor(socket: Socket, held: HeldPorts) {
    this.#socket = socket;
    this.#held = held;
    this.heldKey = `http ${socket.remoteAddress ?? ''}`;
  }

  /** One more request on this connection. */
  add(response: ServerResponse): void {
    this.#answers.add(response);
    response.once('close', () => {
      this.#answers.delete(response);
      if (isDue(this.#answers.size)) this.count();
      if (this.#answers.size === FEW) httpFeed(this.#socket)?.release();
    });
    if (this.#answers.size > 1 && isDue(this.#answers.size)) this.count();
    if (this.#answers.size === MANY) httpFeed(this.#socket)?.hold();
  }

  /** Looks at what is owed; to be called when something was written. */
  count(): void {
    const bytes = this.heldNow('outgoing');
    if (bytes > 0 || this.#held.outgoing.has(this)) this.#held.outgoing.note(this, bytes);
  }

  /** The body that is being read has come this far; 0: none is. `left`: what is still to come of it, as far as that is known. Bytes. */
  body(bytes: number, left = 0): void {
    this.#body = bytes;
    const feed = httpFeed(this.#socket);
    if (feed !== undefined) feed.bodyLeft = left;
    this.#held.incoming.note(this, bytes);
  }

  heldNow(way: Way): number {
    if (way === 'incoming') return this.#body;
    let bytes = this.#socket.writableLength;
    // Those behind the first one wait beside the socket.
    for (const { outputSize } of this.#answers as Set<ServerResponse & { outputSize?: number }>) bytes += outputSize ?? 0;
    return bytes + Math.max(0, this.#answers.size - 1) * REQUEST_BYTES;
  }

  giveUp(way: Way): void {
    this.#body = 0;
    // Whoever sends a body is told why; who reads nothing would not read that either.
    if (way === 'incoming' && this.onBodyGivenUp !== undefined) this.onBodyGivenUp();
    else this.#socket.destroy();
  }
}

const connections = new WeakMap<Socket, HttpConnection>();

/** The one of this socket: requests that share a connection share it. */
export function httpConnection(socket: Socket, held: HeldPorts): HttpConnection {
  let connection = connections.get(socket);
  if (connection === undefined) {
    connection = new HttpConnection(socket, held);
    connections.set(socket, connection);
  }
  return connection;
}
