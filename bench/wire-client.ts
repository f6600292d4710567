import { once } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { type ConnectOptions, connectParams } from '../test/support/wire.ts';

export interface WireOptions extends ConnectOptions {
  /** Where it dials; default 127.0.0.1. */
  readonly host?: string;
}

/** A client that costs little: one answer is waited for at a time, or counted. */
export class WireClient {
  readonly ws: WebSocket;
  onText: (text: string) => void = () => {};
  /** `hello-ok` as it came. */
  hello: unknown;
  #fail: (error: Error) => void = () => {};

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('message', (data) => this.onText(data.toString()));
    ws.on('error', (error) => this.#fail(error));
    ws.on('close', (code, reason) => this.#fail(new Error(`closed ${code} ${reason.toString()}`)));
  }

  /** Opens, answers the challenge, resolves when `connect` was accepted. Throws when it was not. */
  static async connect(port: number, options: WireOptions): Promise<WireClient> {
    const { host = '127.0.0.1', localAddress } = options;
    const ws = new WebSocket(`ws://${host}:${port}/`, {
      perMessageDeflate: false,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    const client = new WireClient(ws);
    const challenge = client.next('"connect.challenge"');
    await Promise.all([once(ws, 'open'), challenge]);
    const { payload } = JSON.parse(await challenge) as { payload: { nonce: string; ts: number } };
    const answer = client.next('"id":"c"');
    ws.send(JSON.stringify({ type: 'req', id: 'c', method: 'connect', params: connectParams(payload, options) }));
    const text = await answer;
    if (!text.includes('"ok":true')) throw new Error(`connect refused: ${text}`);
    client.hello = (JSON.parse(text) as { payload: unknown }).payload;
    return client;
  }

  /** `count` clients, a few at a time. */
  static async crowd(count: number, port: number, options: WireOptions): Promise<WireClient[]> {
    const clients: WireClient[] = [];
    const one = async (): Promise<void> => {
      while (left-- > 0) clients.push(await WireClient.connect(port, options));
    };
    let left = count;
    await Promise.all(Array.from({ length: 25 }, one));
    return clients;
  }

  /** The next frame that contains `part`; rejects when the connection ends first. */
  next(part: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.onText = (text) => {
        if (!text.includes(part)) return;
        this.onText = () => {};
        resolve(text);
      };
    });
  }

  /** Sends a request and gives the text of its answer. Throws for a refusal. */
  async call(method: string, params: object = {}): Promise<string> {
    const answer = this.next('"id":"call"');
    this.ws.send(JSON.stringify({ type: 'req', id: 'call', method, params }));
    const text = await answer;
    if (!text.includes('"ok":true')) throw new Error(`${method}: ${text}`);
    return text;
  }

  /** Resets the connection: closed in the usual way, thousands would stay in this machine's TCP table for a minute and be measured with what follows. */
  close(): void {
    this.#fail = () => {};
    (this.ws as unknown as { _socket: Socket })._socket.resetAndDestroy();
  }
}
