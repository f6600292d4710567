import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Principal } from '../../auth/admit.ts';
import type { Clock } from '../../lib/clock.ts';
import { err, type Result } from '../../lib/result.ts';
import type { RequestFacts } from '../facts.ts';
import type { Intake } from '../intake/intake.ts';
import { SMALL_JSON } from '../intake/large-json.ts';
import { declaredTooLarge, GONE, parseBody, readBody, tooLarge } from './body.ts';
import { EventStream } from './event-stream.ts';
import { type Fault, faultBody, faultText } from './fault.ts';
import type { HttpConnection } from './http-connection.ts';
import type { HttpLimits } from './limits.ts';

export interface ExchangeOptions {
  readonly facts: RequestFacts;
  /** What the route matched after its prefix; empty for an exact route. */
  readonly rest: string;
  readonly clock: Clock;
  readonly limits: HttpLimits;
  readonly large: Intake['large'];
  readonly connection: HttpConnection;
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
}

/** One request and its answer, as a handler sees them: facts and verbs, no Node objects. Exactly one of `send`, `fail` and `stream` ends it. */
export class Exchange {
  readonly facts: RequestFacts;
  readonly rest: string;
  #principal: Principal | undefined;
  /** Largest body of this route, bytes. */
  maxBytes = 0;
  #leave = (): void => {};
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #options: ExchangeOptions;

  constructor(request: IncomingMessage, response: ServerResponse, options: ExchangeOptions) {
    this.#request = request;
    this.#response = response;
    this.#options = options;
    this.facts = options.facts;
    this.rest = options.rest;
  }

  /** Set on every route that is not public. */
  get principal(): Principal | undefined {
    return this.#principal;
  }
  set principal(principal: Principal) {
    this.#principal = principal;
    this.#options.connection.heldKey = principal.id;
  }

  /** A header that came once; undefined when it is absent or came as a list. */
  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return typeof value === 'string' ? value : undefined;
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.facts.query);
  }

  /** The client is still there. */
  get isOpen(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded;
  }

  /** Runs when the response is over, however it ended. `finished`: all of it was handed over. */
  onClose(task: (finished: boolean) => void): void {
    this.#response.once('close', () => task(this.#response.writableFinished));
  }

  /** Whether the head alone says that the body is too large. */
  get isTooLarge(): boolean {
    return declaredTooLarge(this.#request, this.maxBytes);
  }

  async json(): Promise<Result<unknown, Fault>> {
    if (this.isTooLarge) return err(tooLarge(this.maxBytes));
    if (this.#options.expectsContinue) this.#response.writeContinue();
    const body = await readBody(
      this.#request,
      { maxBytes: this.maxBytes, ms: this.#options.limits.bodyMs },
      this.#options.clock,
      this.#options.connection,
    );
    if (!body.ok) return body;
    if (body.value.length > SMALL_JSON) {
      this.#leave = await this.#options.large(this.principal?.id ?? '', body.value.length);
      if (!this.isOpen) this.taken();
      else this.#response.once('close', () => this.taken());
    }
    return parseBody(body.value);
  }

  /** What the body brought is in other hands now: the next large one may be parsed. */
  taken(): void {
    this.#leave();
  }

  send(status: number, type: string, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): void {
    if (!this.isOpen || this.#response.headersSent) return;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const isUnread = !this.#request.complete && this.hasBody;
    this.#response.writeHead(status, {
      'Content-Type': type,
      'Content-Length': bytes.length,
      ...headers,
      ...(isUnread ? { Connection: 'close' } : {}),
    });
    // Who asked first and got a no sends no body: there is nothing to wait for.
    if (isUnread && !this.#options.expectsContinue) this.#linger(bytes);
    else this.#response.end(bytes);
    this.#giveTime();
  }

  /** An answer that is not taken in time is taken back, with its connection. */
  #giveTime(): void {
    const response = this.#response;
    const { clock, connection, limits } = this.#options;
    if (response.writableLength === 0) return;
    connection.count();
    const cancel = clock.after(limits.stalledMs, () => this.#request.socket.destroy());
    response.once('close', cancel);
  }

  sendJson(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    this.send(status, 'application/json; charset=utf-8', JSON.stringify(body), headers);
  }

  fail(fault: Fault): void {
    if (fault === GONE) return void this.#response.destroy();
    const isApi = this.facts.path.startsWith('/v1/');
    const type = isApi ? 'application/json; charset=utf-8' : 'text/plain; charset=utf-8';
    this.send(fault.status, type, isApi ? faultBody(fault) : faultText(fault), fault.headers);
  }

  stream(): EventStream {
    return new EventStream(this.#response, this.#options.clock, this.#options.limits, this.#options.connection);
  }

  get hasBody(): boolean {
    const { 'content-length': length, 'transfer-encoding': encoding } = this.#request.headers;
    return encoding !== undefined || (length !== undefined && length !== '0');
  }

  /**
   * The answer to a request whose body is not wanted. Closing at once would reset the connection under a client that is still sending, and the
   * answer would be lost with it; reading on would be what the limit is there to prevent. So: a little of both.
   */
  #linger(bytes: Buffer): void {
    const { lingerBytes, lingerMs } = this.#options.limits;
    const socket = this.#request.socket;
    let read = 0;
    const finish = (): void => {
      cancel();
      this.#response.end();
    };
    const cancel = this.#options.clock.after(lingerMs, () => {
      this.#response.end();
      socket.destroy();
    });
    this.#response.write(bytes);
    this.#request.on('data', (chunk: Buffer) => {
      read += chunk.length;
      // Enough was read to let a small body through; a large one waits, unread, for the end of the grace.
      if (read > lingerBytes) this.#request.pause();
    });
    this.#request.once('end', finish);
    this.#request.once('error', finish);
    socket.once('close', cancel);
    this.#request.resume();
  }
}
