import type { Duplex } from 'node:stream';

/** With more than this unread, no further request of a connection is taken: it reads first. Bytes. */
const ROOM_BYTES = 1024 * 1024;

/** Whether a connection's reader has taken enough of what was sent to be sent more. For who takes its frames one at a time: one waits. */
export class ReaderRoom {
  readonly #socket: Duplex;
  #onRoom: (() => void) | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on('close', () => this.made());
  }

  /** Undefined: there is room for more answers. Otherwise it resolves when what was sent has left, or the connection has ended. */
  wait(): Promise<void> | undefined {
    if (this.#socket.writableLength <= ROOM_BYTES || this.#socket.destroyed) return undefined;
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  /** To be called on the socket's `drain`. */
  made(): void {
    const resolve = this.#onRoom;
    this.#onRoom = undefined;
    resolve?.();
  }
}
