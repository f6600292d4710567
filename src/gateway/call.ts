import type { Principal } from '../auth/admit.ts';
import type { Refusal } from '../protocol/errors.ts';
import type { Protocol } from '../protocol/version.ts';

/** A result, or the payload of an event, that is JSON text already (cached snapshots): spliced into the frame without being parsed again. */
export class Prebuilt {
  readonly json: string;
  constructor(json: string) {
    this.json = json;
  }
}

/** What a connection wishes to receive beside what everybody gets. */
export interface Subscriptions {
  sessions: boolean;
  /** Canonical session keys, bounded. */
  readonly messages: Set<string>;
  /** Admin socket only: all events. */
  all: boolean;
}

/** One request on its way through a handler. Who calls is a fact to record, never a question to decide on: the door decided. */
export interface Call {
  readonly connId: string;
  /** When its connection was let in, monotonic ms. */
  readonly openedAt: number;
  readonly protocol: Protocol;
  readonly principal: Principal;
  readonly clientId: string;
  readonly clientMode: string;
  readonly clientLabel: string;
  readonly subscriptions: Subscriptions;
  /** An extra answer under the same request id, before the final one (`agent`: accepted). */
  more(payload: unknown): void;
  /** Runs `task` when the final answer has been handed to the connection, whatever it says: for what must not come before it. Must not throw. */
  afterAnswer(task: () => void): void;
  /** What it asked for is true now: its connection hears of it, and of all that comes later, when the (first) answer has left. */
  holdEvents(): void;
}

export type Handler<Params> = (params: Params, call: Call) => unknown | Refusal | Promise<unknown | Refusal>;
