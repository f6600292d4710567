/**
 * A connection that carries texts, as a port: `ws` in Node, `WebSocket` in a page, lines over the admin socket.
 * It is made by an `OpenSocket`, which reports through `SocketEvents` and never throws.
 */
export interface Socket {
  /** After the close it does nothing: the close has been reported already. */
  send(text: string): void;
  close(code?: number, reason?: string): void;
  /** Bytes handed over and not yet sent. */
  readonly bufferedAmount: number;
  /** A ping of the transport, answered by `pong`. Absent where there is none (pages, the admin socket). */
  readonly ping?: () => void;
}

export interface SocketEvents {
  open(): void;
  message(text: string): void;
  pong?(): void;
  /** Once, as the last event; also when the connection never opened. */
  closed(close: SocketClose): void;
}

export interface SocketClose {
  /** Close code; 1006 where the other side said nothing. */
  readonly code: number;
  readonly reason: string;
  /** What the transport said when it failed: `connect ECONNREFUSED 127.0.0.1:18789`. */
  readonly error?: string;
  readonly errno?: string;
  /** Set when an HTTP answer came instead of an upgrade. */
  readonly httpStatus?: number;
}

/** Where to connect. `door`: `ws` begins with the connect handshake, `admin` needs none. */
export interface Endpoint {
  readonly door: 'ws' | 'admin';
  /** `ws://…`, `wss://…`; a socket path for `admin`. */
  readonly url: string;
  /** Pin of the certificate, SHA-256 of the leaf in hex; needs wss. */
  readonly tlsFingerprint?: string;
  /** Pin of the process at the other end, on this machine; compared before `connect`, and with it any secret, leaves. */
  readonly holder?: Holder;
}

/** `errno` of a connection whose other end is not held by whom it has to be. */
export const NOT_THE_HOLDER = 'NOT_THE_HOLDER';

/** As `net/held-by` takes it. */
export interface Holder {
  readonly pid?: number;
  readonly uids: readonly number[];
  readonly port?: number;
}

export type OpenSocket = (endpoint: Endpoint, events: SocketEvents) => Socket;
