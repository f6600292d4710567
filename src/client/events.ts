import type { EventFrame } from '../protocol/frames.ts';
import type { EventName, EventPayload } from './methods.ts';

/** A hole in the numbers of one connection: what came between is lost to this client, so it asks for the state anew. */
export interface Gap {
  readonly expected: number;
  readonly received: number;
}

export type Unsubscribe = () => void;
type Listener = (payload: never, frame: EventFrame) => void;

/** The listeners of one client; they stay over reconnects. */
export class Events {
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #onGap: (gap: Gap) => void;
  #dense = false;
  #lastSeq = 0;

  constructor(onGap: (gap: Gap) => void) {
    this.#onGap = onGap;
  }

  on<Name extends EventName>(name: Name, listener: (payload: EventPayload<Name>, frame: EventFrame) => void): Unsubscribe {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener as Listener);
    return () => void listeners.delete(listener as Listener);
  }

  /** A new connection counts from 1. `dense`: protocol 4, in which a hole means loss; before, targeted events had no number and holes were usual. */
  restart(dense: boolean): void {
    this.#dense = dense;
    this.#lastSeq = 0;
  }

  receive(frame: EventFrame): void {
    const { seq } = frame;
    if (seq !== undefined) {
      const expected = this.#lastSeq + 1;
      const hole = this.#dense && seq !== expected;
      if (seq > this.#lastSeq) this.#lastSeq = seq;
      if (hole && seq > expected) this.#onGap({ expected, received: seq });
    }
    for (const listener of [...(this.#listeners.get(frame.event) ?? [])]) listener(frame.payload as never, frame);
  }
}
