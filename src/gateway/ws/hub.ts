import type { Principal } from '../../auth/admit.ts';
import { mayReceive } from '../../auth/authorize.ts';
import { turn } from '../../lib/turn.ts';
import type { EventDescriptor } from '../../protocol/define.ts';
import { EVENTS, type EventName } from '../../protocol/events.ts';
import { eventBody, eventBodyOfJson, type StateVersion } from '../../protocol/frames.ts';
import type { Protocol } from '../../protocol/version.ts';
import { type Call, Prebuilt, type Subscriptions } from '../call.ts';
import type { OutEvent } from './outbox.ts';

/** One open connection, WebSocket or admin socket, as the hub sees it. */
export interface Receiver {
  readonly connId: string;
  readonly protocol: Protocol;
  readonly principal: Principal;
  readonly caps: ReadonlySet<string>;
  readonly subscriptions: Subscriptions;
  event(event: OutEvent): void;
  close(code: number, reason: string): void;
}

export interface Broadcast {
  readonly event: EventName;
  /**
   * Payload per protocol, `Prebuilt` where it is JSON text already; undefined: that protocol does not get it. Called at most once per
   * protocol, however many receivers there are.
   */
  readonly payload: (protocol: Protocol) => unknown;
  readonly stateVersion?: StateVersion;
  /** Only these, as far as they are still there. */
  readonly among?: Iterable<Receiver>;
  /** Beyond the event's own scope. */
  readonly to?: (receiver: Receiver) => boolean;
  /** The connection that is never made to wait for others: what it asked for next would be answered before. */
  readonly first?: string | undefined;
  readonly key?: string;
  readonly join?: OutEvent['join'];
  /** Overrides the event's declared durability downwards: a delta of `chat` may be dropped, its ending not. */
  readonly droppable?: boolean;
}

/** What one turn of the event loop hands out, over all broadcasts and receivers, UTF-16 units. */
const SLICE_CHARS = 512 * 1024;

const descriptors: ReadonlyMap<string, EventDescriptor> = new Map(EVENTS.map((event) => [event.name, event]));

/** Everyone who is connected. The body of a broadcast is built once per protocol; each receiver only adds its `seq`. */
export class Hub {
  readonly #receivers = new Set<Receiver>();
  /** What did not fit into a turn, in the order in which each of them gets it. A receiver that waits gets everything through here. */
  readonly #waiting = new Map<Receiver, OutEvent[]>();
  #handedOut = 0;
  #isSpreading = false;

  /** More was broadcast than could be handed out yet: who can wait with what comes next should. */
  get isBehind(): boolean {
    return this.#waiting.size > 0;
  }

  get size(): number {
    return this.#receivers.size;
  }
  all(): IterableIterator<Receiver> {
    return this.#receivers.values();
  }
  /** Ids of the devices that have a connection. */
  devices(): ReadonlySet<string> {
    const found = new Set<string>();
    for (const { principal } of this.#receivers) if (principal.deviceId !== undefined) found.add(principal.deviceId);
    return found;
  }
  add(receiver: Receiver): void {
    this.#receivers.add(receiver);
  }
  remove(receiver: Receiver): void {
    this.#receivers.delete(receiver);
    this.#waiting.delete(receiver);
  }

  broadcast(broadcast: Broadcast): void {
    const descriptor = descriptors.get(broadcast.event);
    if (descriptor === undefined) return;
    const built: [OutEvent | null | undefined, OutEvent | null | undefined] = [undefined, undefined];
    for (const receiver of broadcast.among ?? this.#receivers) {
      if (!this.#receivers.has(receiver)) continue;
      if (!mayReceive(receiver.principal, descriptor) || (broadcast.to !== undefined && !broadcast.to(receiver))) continue;
      const slot = receiver.protocol === 3 ? 0 : 1;
      let event = built[slot];
      if (event === undefined) {
        const payload = broadcast.payload(receiver.protocol);
        event = payload === undefined ? null : outEvent(broadcast, descriptor, payload);
        built[slot] = event;
      }
      if (event !== null) this.#hand(receiver, event, receiver.connId === broadcast.first);
    }
  }

  /** Large frames for many go out over several turns of the event loop; each receiver still gets all in order. */
  #hand(receiver: Receiver, event: OutEvent, isFirst: boolean): void {
    const waiting = this.#waiting.get(receiver);
    if (waiting !== undefined && !isFirst) {
      waiting.push(event);
      return;
    }
    if (waiting === undefined && !isFirst && this.#handedOut >= SLICE_CHARS) {
      this.#waiting.set(receiver, [event]);
      return;
    }
    this.#waiting.delete(receiver);
    for (const each of waiting === undefined ? [event] : [...waiting, event]) {
      this.#handedOut += each.body.length;
      receiver.event(each);
    }
    if (!this.#isSpreading) void this.#spread();
  }

  async #spread(): Promise<void> {
    this.#isSpreading = true;
    do {
      await turn();
      this.#handedOut = 0;
      for (const [receiver, events] of this.#waiting) {
        while (events.length > 0 && this.#handedOut < SLICE_CHARS) {
          const event = events.shift() as OutEvent;
          this.#handedOut += event.body.length;
          receiver.event(event);
        }
        if (events.length > 0) break;
        this.#waiting.delete(receiver);
      }
    } while (this.#waiting.size > 0);
    this.#isSpreading = false;
  }

  /** Closes every connection that `match` names, at once; the one that asked for it (`by`) when it has its answer. */
  closeWhere(match: (principal: Principal) => boolean, code: number, reason: string, by?: Pick<Call, 'connId' | 'afterAnswer'>): void {
    for (const receiver of [...this.#receivers]) {
      if (!match(receiver.principal)) continue;
      if (receiver.connId === by?.connId) by.afterAnswer(() => receiver.close(code, reason));
      else receiver.close(code, reason);
    }
  }
}

const outEvent = (broadcast: Broadcast, descriptor: EventDescriptor, payload: unknown): OutEvent => ({
  event: broadcast.event,
  payload,
  body:
    payload instanceof Prebuilt
      ? eventBodyOfJson(broadcast.event, payload.json, broadcast.stateVersion)
      : eventBody(broadcast.event, payload, broadcast.stateVersion),
  durability: broadcast.droppable === true ? 'ephemeral' : descriptor.durability,
  ...(broadcast.key === undefined ? {} : { key: broadcast.key }),
  ...(broadcast.join === undefined ? {} : { join: broadcast.join }),
});
