import type { ServerResponse } from 'node:http';
import type { Cancel, Clock } from '../../lib/clock.ts';
import type { HttpConnection } from './http-connection.ts';
import type { HttpLimits } from './limits.ts';

/**
 * Server-sent events to one reader. Honours its pace: after `write` has said false, nothing should be written until `onDrain`. A
 * reader that takes nothing for too long is given up.
 */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  readonly #limits: HttpLimits;
  readonly #connection: HttpConnection;
  readonly #stopComments: Cancel;
  #stalled: Cancel = () => {};
  #quiet = true;

  constructor(response: ServerResponse, clock: Clock, limits: HttpLimits, connection: HttpConnection) {
    this.#response = response;
    this.#connection = connection;
    this.#clock = clock;
    this.#limits = limits;
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-cache', 'X-Accel-Buffering': 'no' });
    this.#stopComments = clock.every(limits.commentMs, () => {
      if (this.#quiet && this.isWritable) this.#response.write(': still running\n\n');
      this.#quiet = true;
    });
    response.once('close', () => this.#stop());
    response.on('drain', () => {
      this.#stalled();
      connection.count();
    });
  }

  get isWritable(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded && !this.#response.writableNeedDrain;
  }

  /** One event. False: the reader is behind. */
  write(data: string): boolean {
    this.#quiet = false;
    if (this.#response.destroyed || this.#response.writableEnded) return false;
    if (this.#response.write(`data: ${data}\n\n`)) return true;
    this.#connection.count();
    this.#stalled();
    this.#stalled = this.#clock.after(this.#limits.stalledMs, () => this.#response.destroy());
    return false;
  }

  onDrain(task: () => void): void {
    this.#response.on('drain', task);
  }

  end(): void {
    this.#stop();
    this.#response.end();
  }

  #stop(): void {
    this.#stopComments();
    this.#stalled();
  }
}
