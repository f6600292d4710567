import type { Admission } from '../auth/admit.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';

/** Said again after this long (ms), however often it happens in between. */
const QUIET_MS = 3_600_000;
/** Different things that are remembered; who can invent more must not fill the log. */
const MAX_NOTES = 32;
const MAX_CHARS = 300;

export interface DoorNote {
  /** The setting it is about. */
  readonly path: string;
  readonly message: string;
}

/**
 * What the owner should know about how callers arrive: a forwarder that nobody listed, a browser let in without a device. Once in the log
 * per address and hour; `status` lists it as long.
 */
export class DoorNotes {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #notes = new Map<string, DoorNote & { readonly until: number }>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Takes what the door said; gives it back. */
  seen(admission: Admission): Admission {
    const { via } = admission;
    // By address, not by text: the names of headers are the caller's to choose.
    if (via.kind === 'remote' && via.note !== undefined) this.#say(`remote ${via.address}`, 'gateway.trustedProxies', via.note);
    if (admission.ok) for (const warning of admission.warnings) this.#say(warning, 'gateway.auth', warning);
    return admission;
  }

  list(): readonly DoorNote[] {
    this.#forget();
    return [...this.#notes.values()].map(({ path, message }) => ({ path, message }));
  }

  #say(key: string, path: string, text: string): void {
    this.#forget();
    if (this.#notes.has(key) || this.#notes.size >= MAX_NOTES) return;
    const message = text.slice(0, MAX_CHARS);
    this.#notes.set(key, { path, message, until: this.#clock.monotonic() + QUIET_MS });
    this.#log.warn(message);
  }

  #forget(): void {
    const now = this.#clock.monotonic();
    for (const [key, { until }] of this.#notes) if (until <= now) this.#notes.delete(key);
  }
}
