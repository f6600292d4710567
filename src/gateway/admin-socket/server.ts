import type { Server, Socket } from 'node:net';
import { OWNER } from '../../auth/principal.ts';
import type { Log } from '../../lib/log.ts';
import { errorText, type FrameFault, withSeq } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { AnswerFirst } from '../answer-first.ts';
import type { Subscriptions } from '../call.ts';
import type { Caller, DispatchPorts } from '../dispatch.ts';
import { type HeldPorts, type Holder, PIECE_BYTES, type Way } from '../held-bytes.ts';
import type { Intake } from '../intake/intake.ts';
import type { Lane } from '../intake/lane.ts';
import { SMALL_PIECE, type Source } from '../intake/pieces.ts';
import { type Requester, takeRequest } from '../intake/take-request.ts';
import { Pile } from '../pile.ts';
import { ReaderRoom } from '../reader-room.ts';
import type { Hub, Receiver } from '../ws/hub.ts';
import type { OutEvent } from '../ws/outbox.ts';

export interface AdminSocketPorts {
  readonly intake: Intake;
  readonly dispatch: DispatchPorts;
  readonly hub: Hub;
  readonly held: HeldPorts;
  readonly log: Log;
  readonly newId: () => string;
}

/** A line below this stays in the pieces in which it came. */
const SMALL_BYTES = 32 * 1024;

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

class AdminConnection implements Receiver, Requester, Holder, Source {
  /** All are the owner's, and share one. */
  readonly heldKey = OWNER.id;
  readonly connId: string;
  readonly protocol = 4;
  readonly principal = OWNER;
  readonly caps: ReadonlySet<string> = new Set(['tool-events']);
  readonly subscriptions: Subscriptions = { sessions: false, messages: new Set(), all: false };
  readonly #socket: Socket;
  readonly #ports: AdminSocketPorts;
  readonly #lane: Lane;
  readonly #room: ReaderRoom;
  readonly #events = new AnswerFirst<OutEvent>((event) => this.#event(event));
  #chunks: Buffer[] = [];
  #pending = 0;
  #pile: Pile | undefined;
  #seq = 0;

  constructor(socket: Socket, ports: AdminSocketPorts) {
    this.#socket = socket;
    this.#ports = ports;
    this.connId = ports.newId();
    this.#room = new ReaderRoom(socket);
    // Who asks faster than it reads waits for itself, as on a WebSocket.
    this.#lane = ports.intake.lane(OWNER.id, socket, (line) => {
      const work = takeRequest(ports.intake, this, line);
      return work === undefined ? this.#room.wait() : work.then(() => this.#room.wait());
    });
    ports.hub.add(this);
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
    socket.on('drain', () => {
      this.#countUnsent();
      this.#room.made();
    });
    // A client that goes away mid-answer is its own affair.
    socket.on('error', () => socket.destroy());
  }

  event(event: OutEvent): void {
    this.#events.event(event);
  }

  #event(event: OutEvent): void {
    if (!this.subscriptions.all) return;
    // A reader this slow does without what may be dropped; what may not ends it, in `#write`.
    if (event.durability !== 'log' && this.#socket.writableLength > LIMITS.maxBufferedBytes) return;
    this.#write(withSeq(event.body, ++this.#seq));
  }

  close(): void {
    this.#socket.end();
  }

  closed(): void {
    this.#lane.whenEmpty(() => this.#ports.hub.remove(this));
    this.#dropLine();
    this.#ports.held.pieces.forget(this);
    this.#ports.held.incoming.forget(this);
    this.#ports.held.outgoing.forget(this);
  }

  heldNow(way: Way): number {
    return way === 'incoming' ? this.#lane.bytes + this.#pending + this.#chunks.length * PIECE_BYTES : this.#socket.writableLength;
  }

  goOn(): void {
    if (!this.#lane.isPaused) this.#socket.resume();
  }

  giveUp(): void {
    this.#dropLine();
    this.#socket.destroy();
  }

  #dropLine(): void {
    this.#chunks = [];
    this.#pending = 0;
    this.#pile?.drop();
    this.#pile = undefined;
  }

  #countUnsent(): void {
    const { outgoing } = this.#ports.held;
    const bytes = this.#socket.writableLength;
    if (bytes > 0 || outgoing.has(this)) outgoing.note(this, bytes);
  }

  #data(chunk: Buffer): void {
    const { length } = chunk;
    this.#take(chunk);
    const { incoming, pieces } = this.#ports.held;
    if (length > SMALL_PIECE && !pieces.hasTime() && !this.#socket.destroyed) {
      this.#socket.pause();
      pieces.later(this);
    }
    const bytes = this.heldNow('incoming');
    if (bytes > 0 || incoming.has(this)) incoming.note(this, bytes);
  }

  #take(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const newline = chunk.indexOf(0x0a, from);
      if (newline === -1) break;
      this.#chunks.push(chunk.subarray(from, newline));
      const line = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      this.#chunks = [];
      this.#pile = undefined;
      this.#pending = 0;
      if (line.length > 0) this.#lane.push(line);
      from = newline + 1;
    }
    if (from === chunk.length) return;
    const rest = chunk.subarray(from);
    this.#pending += rest.length;
    if (this.#pending < SMALL_BYTES) this.#chunks.push(rest);
    else {
      this.#pile ??= new Pile();
      this.#pile.add(rest, this.#chunks);
    }
    if (this.#pending > LIMITS.maxPayload) {
      this.#dropLine();
      this.#write(errorText('invalid', { code: 'INVALID_REQUEST', message: `a line is longer than ${LIMITS.maxPayload} bytes` }));
      // Not `end`: what is still coming would pile up until its sender stops.
      this.#socket.destroySoon();
    }
  }

  get dispatch(): DispatchPorts {
    return this.#ports.dispatch;
  }
  call(): Caller {
    const { connId, protocol, principal, subscriptions } = this;
    // The rates that ask for `openedAt` are not for the owner.
    return {
      connId,
      openedAt: 0,
      protocol,
      principal,
      clientId: 'cli',
      clientMode: 'cli',
      clientLabel: 'local',
      subscriptions,
      hold: () => this.#events.hold(),
    };
  }
  send(text: string): void {
    this.#write(text);
  }
  fault(fault: FrameFault): void {
    this.#write(errorText(fault.id, { code: 'INVALID_REQUEST', message: `invalid request frame: ${fault.message}` }));
    // What does not speak our frames (a port scanner, a curl) is told so once.
    if (fault.kind === 'json') {
      this.#lane.drop();
      this.#socket.end();
    }
  }
  answered(): boolean {
    return false;
  }
  wrongRole(): void {}

  #write(text: string): void {
    if (!this.#socket.writable) return;
    // What may not be dropped and is not read: cut off, as on a WebSocket.
    if (this.#socket.writableLength > LIMITS.maxBufferedBytes) this.#socket.destroy();
    else {
      this.#socket.write(`${text}\n`);
      this.#countUnsent();
    }
  }
}
