import type { ClientRequest } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type WebSocket from 'ws';
import type { ClientOptions } from 'ws';
import { messageOf } from '../../lib/errors.ts';
import type { Verdict } from '../../net/held-by.ts';
import type { SocketEnds } from '../../net/peer-uid.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type Endpoint, type Holder, NOT_THE_HOLDER, type OpenSocket, type Socket, type SocketClose } from '../socket.ts';

/** To the upgrade's answer. The handshake of the protocol has a deadline of its own. */
const UPGRADE_TIMEOUT_MS = 10_000;
const CLOSE_GRACE_MS = 1_000;

/** A WebSocket in Node. The library is loaded at the first connection: most commands talk to the admin socket and never need it. */
export const openWebSocket: OpenSocket = (endpoint, events) => {
  let socket: WebSocket | undefined;
  let failure: Partial<SocketClose> = {};
  let over = false;
  const closed = (close: SocketClose): void => {
    if (over) return;
    over = true;
    events.closed(close);
  };

  void dial(endpoint).then(
    (dialled) => {
      // Closed before it was dialled: whoever closed has been told already.
      if (over) return dialled.terminate();
      socket = dialled;
      let wire: SocketEnds = {};
      dialled.on('upgrade', (response) => {
        wire = response.socket;
      });
      dialled.on('open', () => {
        if (endpoint.holder === undefined) return events.open();
        // Not before the other side has taken the connection is it anybody's. What it says meanwhile waits.
        dialled.pause();
        void verdict(wire, endpoint.holder).then((held) => {
          if (over) return;
          if (held !== 'wrong') {
            events.open();
            dialled.resume();
            return;
          }
          dialled.terminate();
          closed({ code: 1006, reason: '', error: 'the other end is held by another process', errno: NOT_THE_HOLDER });
        });
      });
      dialled.on('message', (data, isBinary) => {
        if (!isBinary) events.message(String(data));
      });
      dialled.on('pong', () => events.pong?.());
      dialled.on('unexpected-response', (request: ClientRequest, response) => {
        const httpStatus = response.statusCode ?? 0;
        failure = { error: `the server answered HTTP ${httpStatus} instead of a WebSocket`, httpStatus };
        request.destroy();
        dialled.terminate();
        closed({ code: 1006, reason: '', ...failure });
      });
      dialled.on('error', (error: NodeJS.ErrnoException) => {
        failure = { error: connectText(error), ...(error.code === undefined ? {} : { errno: error.code }), ...failure };
      });
      dialled.on('close', (code, reason) => closed({ code, reason: reason.toString('utf8'), ...failure }));
    },
    (thrown: unknown) => closed({ code: 1006, reason: '', error: messageOf(thrown) }),
  );

  const adapter: Socket = {
    send(text) {
      if (socket?.readyState === 1) socket.send(text);
    },
    close(code, reason) {
      if (socket === undefined) return closed({ code: code ?? 1006, reason: reason ?? '' });
      if (socket.readyState === 0 || code === undefined) socket.terminate();
      else {
        socket.close(code, reason);
        // The other side may be gone: the close handshake gets a moment, then the socket goes.
        setTimeout(() => socket?.terminate(), CLOSE_GRACE_MS).unref();
      }
    },
    get bufferedAmount() {
      return socket?.bufferedAmount ?? 0;
    },
    ping() {
      if (socket?.readyState === 1) socket.ping();
    },
  };
  return adapter;
};

/** Asked for only where somebody is pinned: the tables of the kernel are read with it. */
const verdict = async (ends: SocketEnds, holder: Holder): Promise<Verdict> => (await import('../../net/held-by.ts')).peerIs(ends, holder);

/** Fetches the library before it is needed, for those who measure what a connection takes. */
export async function preload(): Promise<void> {
  await import('ws');
}

async function dial({ url, tlsFingerprint }: Endpoint): Promise<WebSocket> {
  const { default: Ws } = await import('ws');
  const options: ClientOptions = {
    perMessageDeflate: false,
    maxPayload: LIMITS.maxPayload,
    handshakeTimeout: UPGRADE_TIMEOUT_MS,
    followRedirects: false,
  };
  if (tlsFingerprint === undefined) return new Ws(url, options);
  if (!url.startsWith('wss:')) throw new Error('gateway.remote.tlsFingerprint requires a wss:// URL');
  return new Ws(url, {
    ...options,
    // The pin replaces the authorities. It is compared before the upgrade request, and with it any secret, leaves.
    rejectUnauthorized: false,
    finishRequest(request: ClientRequest) {
      request.once('socket', (raw) => {
        const tls = raw as TLSSocket;
        const check = (): void => {
          const flaw = pinFlaw(tls, tlsFingerprint);
          if (flaw === undefined) request.end();
          else request.destroy(new Error(flaw));
        };
        if (tls.getPeerCertificate?.()?.raw !== undefined) check();
        else tls.once('secureConnect', check);
      });
    },
  });
}

/** Why the peer's certificate is not the pinned one. A resumed session shows no certificate: that is a failed pin, not a passed one. */
function pinFlaw(socket: TLSSocket, pin: string): string | undefined {
  const { fingerprint256 } = socket.getPeerCertificate() ?? {};
  if (!fingerprint256) return 'gateway tls fingerprint unavailable: the server showed no certificate';
  return plainHex(fingerprint256) === plainHex(pin)
    ? undefined
    : `gateway tls fingerprint mismatch: the server's certificate is ${plainHex(fingerprint256)}, not the pinned one`;
}

const plainHex = (text: string): string =>
  text
    .replace(/^sha-?256:/i, '')
    .replaceAll(':', '')
    .trim()
    .toLowerCase();

/** `AggregateError` (both families refused) has no text of its own. */
function connectText(error: NodeJS.ErrnoException & { errors?: unknown[] }): string {
  const inner = error.errors?.[0];
  return inner instanceof Error ? inner.message : messageOf(error);
}
