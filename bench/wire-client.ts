import { once } from 'node:events';
import { WebSocket } from 'ws';
import { type ConnectOptions, connectParams } from '../test/support/wire.ts';

/** A client that costs little: one answer is waited for at a time, or counted. */
export class WireClient {
  readonly ws: WebSocket;
  onText: (text: string) => void = () => {};
  #fail: (error: Error) => void = () => {};

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('message', (data) => this.onText(data.toString()));
    ws.on('error', (error) => this.#fail(error));
    ws.on('close', (code, reason) => this.#fail(new Error(`closed ${code} ${reason.toString()}`)));
  }

  /** Opens, answers the challenge, resolves when `connect` was accepted. Throws when it was not. */
  static async connect(port: number, options: ConnectOptions): Promise<WireClient> {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/`, {
      perMessageDeflate: false,
      ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    });
    const client = new WireClient(ws);
    const challenge = client.next('"connect.challenge"');
    await once(ws, 'open');
    const { payload } = JSON.parse(await challenge) as { payload: { nonce: string; ts: number } };
    const answer = client.next('"id":"c"');
    ws.send(JSON.stringify({ type: 'req', id: 'c', method: 'connect', params: connectParams(payload, options) }));
    const text = await answer;
    if (!text.includes('"ok":true')) throw new Error(`connect refused: ${text}`);
    return client;
  }

  /** The next frame that contains `part`. */
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

  close(): void {
    this.ws.terminate();
  }
}
