import type { OpenSocket } from '../client/socket.ts';
import type { Env } from '../config/env.ts';
import type { Cancel, Clock } from '../lib/clock.ts';
import type { Holder, Verdict } from '../net/held-by.ts';

/** Where a command writes. */
export interface Writer {
  write(text: string): void;
  readonly isTTY: boolean;
  readonly columns: number;
}

/** Where a command reads. Nothing is read before it is asked for. */
export interface Reader {
  readonly isTTY: boolean;
  /** Lines without their ending, to the end of the input. */
  lines(): AsyncIterable<string>;
  /** Keys of a terminal as they are typed, until cancelled. Chunks of text: one key, or what was pasted. */
  keys(onKeys: (text: string) => void): Cancel;
}

export interface HttpAnswer {
  readonly status: number;
  /** At most 64 KiB of it. */
  readonly body: string;
}

/** The ways out of this process. */
export interface Doors {
  readonly openSocket: OpenSocket;
  /** Fetches what a GET and a WebSocket need, so that its loading is not taken for their latency. */
  warm(): Promise<void>;
  /** A GET without credentials and without redirects. Rejects with the transport's error. */
  httpGet(url: string, timeoutMs: number): Promise<HttpAnswer>;
  /** Opens a TCP connection and closes it. Rejects with the system's error. */
  tcp(host: string, port: number, timeoutMs: number): Promise<void>;
  /** Who listens there on this machine, against who should, and who it is instead where that is known. Never rejects. */
  listener(host: string, port: number, wanted: Holder): Promise<{ readonly verdict: Verdict; readonly who?: string }>;
  /** Addresses of this host, for the rule on plaintext. */
  ownAddresses(): readonly string[];
}

/** All that a command can see and touch beside files; a test hands in its own. */
export interface CliEnv {
  readonly vars: Env;
  readonly stdout: Writer;
  readonly stderr: Writer;
  readonly stdin: Reader;
  readonly clock: Clock;
  readonly doors: Doors;
  /** For `connect`: `linux`, `darwin`, `win32`. */
  readonly platform: string;
  randomId(): string;
  /** Ctrl-C. While someone listens it does not end the process. */
  onInterrupt(listener: () => void): Cancel;
  /** Keeps the process alive while nothing else does: timers of the clock do not. */
  keepAlive(): Cancel;
}
