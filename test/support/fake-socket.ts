import type { Endpoint, OpenSocket, SocketClose, SocketEvents } from '../../src/client/socket.ts';
import { isRecord } from '../../src/lib/json.ts';

/** The other end of one connection of a client under test. */
export interface FakePeer {
  readonly endpoint: Endpoint;
  /** What the client sent, parsed. */
  readonly sent: Record<string, unknown>[];
  readonly closedByClient: { code?: number; reason?: string } | undefined;
  open(): void;
  challenge(nonce?: string, ts?: number): void;
  /** Answers the newest request of this method. */
  answer(method: string, payload: unknown): void;
  refuse(method: string, error: Record<string, unknown>): void;
  event(event: string, payload: unknown, seq?: number): void;
  text(text: string): void;
  close(close?: Partial<SocketClose>): void;
  request(method: string): Record<string, unknown> | undefined;
  /** Whether pings of the transport are answered. */
  pongs: boolean;
}

export interface FakeNetwork {
  readonly openSocket: OpenSocket;
  readonly peers: FakePeer[];
  /** The newest connection. */
  readonly peer: FakePeer;
}

/** A network of hand-driven sockets: each attempt of the client appears as a peer. */
export function fakeNetwork(options: { pings?: boolean } = {}): FakeNetwork {
  const peers: FakePeer[] = [];
  const openSocket: OpenSocket = (endpoint, events) => {
    const { peer, socket } = pair(endpoint, events, options.pings !== false);
    peers.push(peer);
    return socket;
  };
  return {
    openSocket,
    peers,
    get peer() {
      const last = peers.at(-1);
      if (last === undefined) throw new Error('nothing has connected yet');
      return last;
    },
  };
}

function pair(endpoint: Endpoint, events: SocketEvents, pings: boolean) {
  const sent: Record<string, unknown>[] = [];
  let over = false;
  let closedByClient: { code?: number; reason?: string } | undefined;
  const close = (info: Partial<SocketClose> = {}): void => {
    if (over) return;
    over = true;
    events.closed({ code: 1006, reason: '', ...info });
  };
  const send = (frame: unknown): void => events.message(JSON.stringify(frame));
  const peer: FakePeer = {
    endpoint,
    sent,
    pongs: true,
    get closedByClient() {
      return closedByClient;
    },
    open: () => events.open(),
    challenge: (nonce = 'nonce-1', ts = 1_700_000_000_000) => send({ type: 'event', event: 'connect.challenge', payload: { nonce, ts } }),
    answer(method, payload) {
      send({ type: 'res', id: peer.request(method)?.['id'], ok: true, payload });
    },
    refuse(method, error) {
      send({ type: 'res', id: peer.request(method)?.['id'], ok: false, error });
    },
    event: (event, payload, seq) => send({ type: 'event', event, payload, ...(seq === undefined ? {} : { seq }) }),
    text: (text) => events.message(text),
    close,
    request: (method) => sent.findLast((frame) => frame['method'] === method),
  };
  const socket = {
    send(text: string) {
      const frame: unknown = JSON.parse(text);
      if (!over && isRecord(frame)) sent.push(frame);
    },
    close(code?: number, reason?: string) {
      closedByClient ??= { ...(code === undefined ? {} : { code }), ...(reason === undefined ? {} : { reason }) };
      close({ code: code ?? 1005, reason: reason ?? '' });
    },
    bufferedAmount: 0,
    ...(pings ? { ping: () => void (peer.pongs && !over && events.pong?.()) } : {}),
  };
  return { peer, socket };
}

export const helloOk = (extra: Record<string, unknown> = {}): Record<string, unknown> => ({
  type: 'hello-ok',
  protocol: 4,
  server: { version: '0.0.0', connId: 'c1' },
  features: { methods: [], events: [] },
  snapshot: { presence: [], health: {}, stateVersion: { presence: 1, health: 1 }, uptimeMs: 1, sessionDefaults: {} },
  policy: { maxPayload: 1, maxBufferedBytes: 1, tickIntervalMs: 30_000 },
  ...extra,
});
