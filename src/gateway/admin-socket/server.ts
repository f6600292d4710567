import type { Server, Socket } from 'node:net';
import { OWNER } from '../../auth/principal.ts';
import type { Log } from '../../lib/log.ts';
import { errorText, parseRequest, withSeq } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Subscriptions } from '../call.ts';
import { type DispatchPorts, dispatch } from '../dispatch.ts';
import type { Hub, Receiver } from '../ws/hub.ts';
import type { OutEvent } from '../ws/outbox.ts';

export interface AdminSocketPorts {
  readonly dispatch: DispatchPorts;
  readonly hub: Hub;
  readonly log: Log;
  readonly newId: () => string;
}

/** Connections to the admin socket at once; far above what a person's shells need. */
const MAX_CONNECTIONS = 128;

/**
 * The local CLI's door: request frames, one a line, no handshake; answers and (after `events.subscribe`) events come
 * back the same way. Plain JSON over a unix socket, because it must answer in the time a shell prompt takes.
 */
export function serveAdminSocket(server: Server, ports: AdminSocketPorts): { closeAll(): void } {
  const sockets = new Set<Socket>();
  server.maxConnections = MAX_CONNECTIONS;
  // What the system cannot accept (no descriptors left) concerns the caller, not those who are in.
  server.on('error', (error) => ports.log.error('the admin socket could not take a connection', { cause: error.message }));
  server.on('connection', (socket) => {
    sockets.add(socket);
    const connection = new AdminConnection(socket, ports);
    socket.on('close', () => {
      sockets.delete(socket);
      connection.closed();
    });
  });
  return {
    closeAll: () => {
      for (const socket of sockets) socket.destroySoon();
    },
  };
}

class AdminConnection implements Receiver {
  readonly connId: string;
  readonly protocol = 4;
  readonly principal = OWNER;
  readonly caps: ReadonlySet<string> = new Set(['tool-events']);
  readonly subscriptions: Subscriptions = { sessions: false, messages: new Set(), all: false };
  readonly #socket: Socket;
  readonly #ports: AdminSocketPorts;
  #chunks: Buffer[] = [];
  #pending = 0;
  #seq = 0;

  constructor(socket: Socket, ports: AdminSocketPorts) {
    this.#socket = socket;
    this.#ports = ports;
    this.connId = ports.newId();
    ports.hub.add(this);
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
    // A client that goes away mid-answer is its own affair.
    socket.on('error', () => socket.destroy());
  }

  event(event: OutEvent): void {
    if (!this.subscriptions.all) return;
    // A reader this slow does without what may be dropped; what may not ends it, in `#write`.
    if (event.durability !== 'log' && this.#socket.writableLength > LIMITS.maxBufferedBytes) return;
    this.#write(withSeq(event.body, ++this.#seq));
  }

  close(): void {
    this.#socket.end();
  }

  closed(): void {
    this.#ports.hub.remove(this);
  }

  #data(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const newline = chunk.indexOf(0x0a, from);
      if (newline === -1) break;
      this.#chunks.push(chunk.subarray(from, newline));
      const line = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      this.#chunks = [];
      this.#pending = 0;
      if (line.length > 0) this.#line(line.toString('utf8'), line.length);
      from = newline + 1;
    }
    if (from === chunk.length) return;
    const rest = chunk.subarray(from);
    this.#chunks.push(rest);
    this.#pending += rest.length;
    if (this.#pending > LIMITS.maxPayload) {
      this.#chunks = [];
      this.#write(errorText('invalid', { code: 'INVALID_REQUEST', message: `a line is longer than ${LIMITS.maxPayload} bytes` }));
      // Not `end`: what is still coming would pile up until its sender stops.
      this.#socket.destroySoon();
    }
  }

  #line(text: string, bytes: number): void {
    const frame = parseRequest(text);
    if (!frame.ok) {
      this.#write(errorText(frame.error.id, { code: 'INVALID_REQUEST', message: `invalid request frame: ${frame.error.message}` }));
      // What does not speak our frames (a port scanner, a curl) is told so once.
      if (frame.error.kind === 'json') this.#socket.end();
      return;
    }
    const call = {
      connId: this.connId,
      // The rates that ask for it are not for the owner.
      openedAt: 0,
      protocol: this.protocol,
      principal: this.principal,
      clientId: 'cli',
      clientMode: 'cli',
      clientLabel: 'local',
      subscriptions: this.subscriptions,
    } as const;
    dispatch(this.#ports.dispatch, frame.value, bytes, call, (answer) => this.#write(answer));
  }

  #write(text: string): void {
    if (!this.#socket.writable) return;
    // Who asks on and on and reads nothing is cut off, as on a WebSocket.
    if (this.#socket.writableLength > LIMITS.maxBufferedBytes) this.#socket.destroy();
    else this.#socket.write(`${text}\n`);
  }
}
