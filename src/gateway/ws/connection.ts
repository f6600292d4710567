import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Admission, Admitted, Presented, Principal } from '../../auth/admit.ts';
import type { ConnectionFacts } from '../../auth/facts.ts';
import type { Cancel, Clock } from '../../lib/clock.ts';
import { messageOf, UserError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { CLOSE, closeReason } from '../../protocol/close.ts';
import { type ConnectParams, connectParams } from '../../protocol/connect.ts';
import type { WireError } from '../../protocol/errors.ts';
import { errorText, eventBody, type FrameFault, parseRequest, type RequestFrame, withoutSeq } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { parseParams } from '../../protocol/parse-params.ts';
import { MAX_PROTOCOL, MIN_PROTOCOL, negotiate, type Protocol } from '../../protocol/version.ts';
import { AnswerFirst } from '../answer-first.ts';
import type { Subscriptions } from '../call.ts';
import { type Caller, type DispatchPorts, frameLimit } from '../dispatch.ts';
import type { HeldPorts, Holder, Way } from '../held-bytes.ts';
import type { Intake } from '../intake/intake.ts';
import type { Lane } from '../intake/lane.ts';
import { type Requester, takeRequest } from '../intake/take-request.ts';
import type { Pingable } from './heartbeat.ts';
import type { Hub, Receiver } from './hub.ts';
import { Outbox, type OutboxOwner, type OutEvent } from './outbox.ts';
import type { PreauthPool, Unadmitted } from './preauth.ts';
import { Unfinished } from './unfinished.ts';

/** A message above this needs a place (`Intake.place`) before more of it is read. */
const LARGE_BYTES = 1024 * 1024;

/** After our close frame a peer has this long to answer it; then the socket is cut. */
export const CLOSE_GRACE_MS = 2_000;

/** What is kept of a connection as long as it is open. Not `connect` itself: that holds what it was let in with. */
export interface OpenInfo {
  readonly connId: string;
  /** Monotonic, ms. */
  readonly openedAt: number;
  readonly protocol: Protocol;
  readonly client: ConnectParams['client'];
  readonly principal: Principal;
}

export interface ConnectionPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly hub: Hub;
  readonly preauth: PreauthPool;
  readonly intake: Intake;
  readonly held: HeldPorts;
  readonly dispatch: DispatchPorts;
  readonly newId: () => string;
  readonly admit: (facts: ConnectionFacts, presented: Presented) => Promise<Admission>;
  /** Whether what let it in still holds, asked in the tick in which it joined the hub. */
  readonly stillStands: (principal: Principal) => boolean;
  /** The text of hello-ok for who was admitted. */
  readonly hello: (requestId: string, info: OpenInfo, admitted: Admitted) => string;
  /** Called after hello-ok was written and the connection is in the hub. */
  readonly onOpen: (info: OpenInfo, admitted: Admitted, connection: WsConnection) => void;
  readonly onClose: (info: OpenInfo) => void;
}

/** Fields exist only where they have meaning; a connection is never half of two states. */
type State =
  | {
      readonly at: 'awaiting-hello';
      readonly facts: ConnectionFacts;
      readonly nonce: string;
      readonly cancelDeadline: Cancel;
      readonly pooled: Unadmitted;
    }
  /** The door is looking at `connect`. Still counted as unadmitted. */
  | { readonly at: 'admitting'; readonly cancelDeadline: Cancel; readonly pooled: Unadmitted }
  | { readonly at: 'open'; readonly info: OpenInfo; wrongRoleCalls: number }
  | { readonly at: 'closing' };

const NO_CAPS: ReadonlySet<string> = new Set();

/** One WebSocket, from its challenge to its close. */
export class WsConnection implements Receiver, Pingable, Requester, Holder, OutboxOwner {
  readonly connId: string;
  readonly subscriptions: Subscriptions = { sessions: false, messages: new Set(), all: false };
  missed = 0;
  readonly #ws: WebSocket;
  readonly #ports: ConnectionPorts;
  readonly #outbox: Outbox;
  readonly #events = new AnswerFirst<OutEvent>((event) => {
    if (this.#state.at === 'open') this.#outbox.event(event);
  });
  readonly #lane: Lane;
  readonly #unfinished: Unfinished;
  #state: State;
  #caps = NO_CAPS;
  #heldKey: string;
  /** Leaves the place that its large message has, or waits for. */
  #place: (() => void) | undefined;

  constructor(ws: WebSocket, socket: Duplex, facts: ConnectionFacts, addressKey: string, ports: ConnectionPorts) {
    this.#ws = ws;
    this.#ports = ports;
    this.connId = ports.newId();
    this.#heldKey = addressKey;
    this.#outbox = new Outbox(ws, socket, this);
    this.#unfinished = new Unfinished(ws, socket, ports.held.pieces, this);
    this.#lane = ports.intake.lane(addressKey, ws, (frame) => this.#take(frame));
    const nonce = ports.newId();
    const pooled: Unadmitted = { address: addressKey, drop: () => this.#cut('pushed out by newer connections') };
    this.#state = {
      at: 'awaiting-hello',
      facts,
      nonce,
      pooled,
      // Clients know this close: 1000 without a reason.
      cancelDeadline: ports.clock.after(LIMITS.handshakeMs, () => this.close(CLOSE.normal, '')),
    };
    ports.preauth.add(pooled);
    ws.on('message', (data: Buffer) => {
      this.#unfinished.delivered(data);
      this.missed = 0;
      const state = this.#state;
      if (state.at === 'closing') return;
      // Who has said something waits for the gateway, not the gateway for them: from here on nothing newer pushes them out.
      if (state.at === 'awaiting-hello') ports.preauth.remove(state.pooled);
      this.#lane.push(data);
    });
    ws.on('pong', () => {
      this.missed = 0;
    });
    ws.on('ping', answerPing);
    // What it sent before it left counts: a message and a goodbye in one breath are a message.
    ws.on('close', () => this.#lane.whenEmpty(() => this.#closed()));
    // The close frame with its code (1009 for a frame that is too large) is sent by the library; there is nothing to add.
    ws.on('error', (error) => this.#ports.log.debug('websocket error', { connId: this.connId, cause: error.message }));
    this.#outbox.text(withoutSeq(eventBody('connect.challenge', { nonce, ts: ports.clock.now() })));
  }

  get protocol(): Protocol {
    return this.#open().info.protocol;
  }
  get principal(): Principal {
    return this.#open().info.principal;
  }
  get caps(): ReadonlySet<string> {
    return this.#caps;
  }
  get isOpen(): boolean {
    return this.#state.at === 'open';
  }

  get heldKey(): string {
    return this.#heldKey;
  }
  heldNow(way: Way): number {
    return way === 'incoming' ? this.#unfinished.bytes + this.#lane.bytes : this.#outbox.unsent;
  }
  /** At once: a close frame leaves if there is room for it, and nobody waits for its answer. */
  giveUp(way: Way, why: 'most' | 'slow'): void {
    if (way === 'outgoing') this.close(CLOSE.policy, 'slow consumer');
    else if (why === 'slow') this.close(CLOSE.policy, 'unfinished message');
    else this.close(CLOSE.tryLater, 'too many unfinished messages');
    this.#unfinished.drop();
    this.#ws.terminate();
  }
  held(bytes: number): void {
    const all = bytes + this.#lane.bytes;
    if (all > LARGE_BYTES) this.#place ??= this.#ports.intake.place(this.#heldKey, this.#unfinished);
    else if (this.#place !== undefined) this.#leavePlace();
    this.#ports.held.incoming.note(this, all);
  }
  unsent(bytes: number): void {
    this.#ports.held.outgoing.note(this, bytes);
  }
  fellBehind(): void {
    this.close(CLOSE.policy, 'slow consumer');
  }
  get backlog(): number {
    return this.#outbox.backlog;
  }

  event(event: OutEvent): void {
    this.#events.event(event);
  }

  /** Says why and closes; a peer that does not answer the close is cut after a short grace. */
  close(code: number, reason: string): void {
    if (this.#state.at === 'closing') return;
    this.#leave();
    this.#ws.close(code, closeReason(reason, LIMITS.closeReasonBytes));
    this.#ports.clock.after(CLOSE_GRACE_MS, () => this.#ws.terminate());
  }

  ping(): void {
    // Its pongs lie among what is not read now. Whether it takes what is sent to it says as much.
    if (this.#lane.isPaused && this.#outbox.isMoving()) this.missed = 0;
    this.#ws.ping();
  }
  dead(): void {
    this.#cut('no answer to pings');
  }

  #open(): Extract<State, { at: 'open' }> {
    if (this.#state.at !== 'open') throw new Error('not open');
    return this.#state;
  }

  #cut(why: string): void {
    this.#ports.log.debug('connection cut', { connId: this.connId, why });
    this.#leave();
    this.#ws.terminate();
  }

  /** A large message was worked on; of the next one there may be a part. */
  #doneWith(): void {
    this.#leavePlace();
    const { bytes } = this.#unfinished;
    if (bytes > LARGE_BYTES) this.held(bytes);
    else this.#ports.held.incoming.note(this, bytes);
  }

  #leavePlace(): void {
    this.#place?.();
    this.#place = undefined;
  }

  /** Out of every list, whatever state it was in; idempotent. */
  #leave(): void {
    this.#lane.drop();
    const state = this.#state;
    this.#state = { at: 'closing' };
    if (state.at === 'awaiting-hello' || state.at === 'admitting') {
      state.cancelDeadline();
      this.#ports.preauth.remove(state.pooled);
    } else if (state.at === 'open') {
      this.#ports.hub.remove(this);
      this.#ports.onClose(state.info);
    }
  }

  #closed(): void {
    this.#leave();
    this.#leavePlace();
    this.#unfinished.drop();
    this.#outbox.drop();
    this.#ports.held.incoming.forget(this);
    this.#ports.held.outgoing.forget(this);
  }

  /** One frame, in its turn. */
  #take(data: Buffer): Promise<void> | undefined {
    const state = this.#state;
    if (state.at === 'closing') return undefined;
    if (state.at === 'open') {
      const work = takeRequest(this.#ports.intake, this, data);
      // Who asks faster than it reads waits for itself: what it has not read yet is bounded by one answer.
      return work === undefined ? this.#outbox.room() : work.then(() => this.#outbox.room()).finally(() => this.#doneWith());
    }
    if (state.at === 'admitting') this.close(CLOSE.policy, 'invalid handshake: nothing may follow connect before it is answered');
    else this.#first(state, data);
    return undefined;
  }

  /** The first frame has to be `connect`. A binary one that holds JSON is taken like text, as existing servers do. */
  #first(state: Extract<State, { at: 'awaiting-hello' }>, data: Buffer): void {
    const frame = parseRequest(data.toString('utf8'));
    if (!frame.ok) {
      if (frame.error.kind === 'json') this.close(CLOSE.normal, '');
      else if (frame.error.kind === 'not-object' || frame.error.kind === 'not-request') this.close(CLOSE.policy, 'invalid request frame');
      else
        this.#refuse(frame.error.id, { code: 'INVALID_REQUEST', message: `invalid request frame: ${frame.error.message}` }, CLOSE.policy);
      return;
    }
    if (frame.value.method !== 'connect') {
      this.#refuse(frame.value.id, { code: 'INVALID_REQUEST', message: 'invalid handshake: first request must be connect' }, CLOSE.policy);
      return;
    }
    this.#state = { at: 'admitting', cancelDeadline: state.cancelDeadline, pooled: state.pooled };
    this.#hello(frame.value, state.facts, state.nonce).catch((thrown: unknown) => {
      this.#ports.log.error('the door failed', { cause: messageOf(thrown) });
      // A device that must be written down, and a disk that takes nothing: not the caller's fault, and it passes.
      const error: WireError =
        thrown instanceof UserError && thrown.code.startsWith('STORE_')
          ? {
              code: 'UNAVAILABLE',
              message: 'the gateway cannot write to its disk now',
              details: { code: 'STORE_UNAVAILABLE' },
              retryable: true,
            }
          : { code: 'UNAVAILABLE', message: 'the gateway could not decide; try again', retryable: true };
      this.#refuse(frame.value.id, error, CLOSE.policy);
    });
  }

  async #hello(frame: RequestFrame, facts: ConnectionFacts, nonce: string): Promise<void> {
    const parsed = parseParams(connectParams, frame.params);
    if (!parsed.ok) {
      this.#refuse(frame.id, { code: 'INVALID_REQUEST', message: `invalid connect params: ${parsed.error}` }, CLOSE.policy);
      return;
    }
    const connect = parsed.value;
    const protocol = negotiate(connect.minProtocol, connect.maxProtocol);
    if (protocol === undefined) {
      const details = {
        code: 'PROTOCOL_MISMATCH',
        clientMinProtocol: connect.minProtocol,
        clientMaxProtocol: connect.maxProtocol,
        expectedProtocol: connect.maxProtocol < MIN_PROTOCOL ? MIN_PROTOCOL : MAX_PROTOCOL,
        minimumProbeProtocol: MIN_PROTOCOL,
      };
      this.#refuse(frame.id, { code: 'INVALID_REQUEST', message: 'protocol mismatch', details }, CLOSE.protocol);
      return;
    }
    const admission = await this.#ports.admit(facts, { transport: 'ws', protocol, connect, nonce });
    const state = this.#state;
    // It left, or its time ran out, while the door was looking.
    if (state.at !== 'admitting') return;
    if (!admission.ok) {
      this.#refuse(frame.id, admission.error, admission.close.code, admission.close.reason);
      return;
    }
    state.cancelDeadline();
    this.#ports.preauth.letIn(state.pooled.address);
    const { connId } = this;
    const openedAt = this.#ports.clock.monotonic();
    const info: OpenInfo = { connId, openedAt, protocol, client: connect.client, principal: admission.principal };
    this.#state = { at: 'open', info, wrongRoleCalls: 0 };
    this.#lane.belongTo(admission.principal.id);
    this.#heldKey = admission.principal.id;
    if (connect.caps !== undefined && connect.caps.length > 0) this.#caps = new Set(connect.caps);
    raiseLimit(this.#ws, frameLimit(this.#ports.dispatch, admission.principal, protocol));
    this.#outbox.together(() => {
      this.#outbox.text(this.#ports.hello(frame.id, info, admission));
      this.#ports.hub.add(this);
      // What was revoked while the door was looking would otherwise be missed: from here on the hub's list is what revocation closes.
      if (this.#ports.stillStands(admission.principal)) this.#ports.onOpen(info, admission, this);
      else this.close(CLOSE.revoked, 'credential revoked');
    });
  }

  #refuse(id: string, error: WireError, code: number, reason: string = error.message): void {
    if (this.#state.at === 'closing') return;
    this.#outbox.text(errorText(id, error));
    this.close(code, reason);
  }

  // ── Requester ──────────────────────────────────────────────────────────────────────────────────────────────────

  get dispatch(): DispatchPorts {
    return this.#ports.dispatch;
  }
  call(): Caller {
    const { connId, openedAt, protocol, client, principal } = this.#open().info;
    return {
      connId,
      openedAt,
      protocol,
      principal,
      clientId: client.id,
      clientMode: client.mode,
      clientLabel: client.displayName ?? client.id,
      subscriptions: this.subscriptions,
      hold: () => this.#events.hold(),
    };
  }
  send(text: string): void {
    this.#outbox.text(text);
  }
  fault(fault: FrameFault): void {
    // What is not JSON has no id to answer; clients rely on the silence.
    if (fault.kind === 'json') this.#ports.log.debug('not JSON', { connId: this.connId });
    else this.#outbox.text(errorText(fault.id, { code: 'INVALID_REQUEST', message: `invalid request frame: ${fault.message}` }));
  }
  answered({ id, method }: RequestFrame): boolean {
    if (method !== 'connect') return false;
    this.#outbox.text(errorText(id, { code: 'INVALID_REQUEST', message: 'connect is only valid as the first request' }));
    return true;
  }
  wrongRole(): void {
    const state = this.#state;
    if (state.at !== 'open') return;
    state.wrongRoleCalls++;
    if (state.wrongRoleCalls >= LIMITS.unauthorizedCalls) this.close(CLOSE.policy, 'repeated unauthorized calls');
  }
}

/**
 * `ws` takes the size limit of a socket when it is made; before `connect` it is 64 KiB, and there is no public way to
 * raise it afterwards. The field is private to the library: its version is pinned exactly, and a test would notice.
 */
function raiseLimit(ws: WebSocket, bytes: number): void {
  const receiver = (ws as unknown as { _receiver?: { _maxPayload?: number } })._receiver;
  if (receiver !== undefined) receiver._maxPayload = bytes;
}

/** Answers to pings that may wait for the socket to take them. */
const PONGS = 32;
/** The most that a ping says, bytes (RFC 6455, 5.5). */
const PING_BYTES = 125;
/** Of a connection that pings: how many answers wait, and what the last ping said that was not answered; it lies in the first `length` bytes of `last`. */
const pings = new WeakMap<WebSocket, { unsent: number; readonly last: Buffer; length: number | undefined }>();

/**
 * Of a flood of pings, or of those of a slow reader, the first ones and the last are answered, which is all the RFC asks for (5.5.3): ten thousand fit
 * into one read. Those that are not answered leave no garbage.
 */
function answerPing(this: WebSocket, data: Buffer): void {
  const state = pings.get(this) ?? { unsent: 0, last: Buffer.allocUnsafeSlow(PING_BYTES), length: undefined };
  pings.set(this, state);
  // Copied: the piece that it came in is freed.
  state.length = data.copy(state.last);
  const answer = (): void => {
    if (state.length === undefined || state.unsent >= PONGS || this.readyState !== this.OPEN) return;
    const last = Buffer.from(state.last.subarray(0, state.length));
    state.length = undefined;
    state.unsent++;
    this.pong(last, undefined, () => {
      state.unsent--;
      answer();
    });
  };
  answer();
}
