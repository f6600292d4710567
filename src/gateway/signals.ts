import type { EventEmitter } from 'node:events';

/** Who is told of signals: the life of a gateway that is under way. */
export interface SignalTaker {
  stop(why: string): void;
  /** Restarts unless what would come up is worse. */
  restartIfItMay(why: string): void;
}

// The terminal it was started in was closed: SIGHUP. As a service it has none.
const STOPS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * The signals of a gateway's process, listened to from here to its very end, over all restarts inside: the moment nobody listens, Node's
 * default ends the process raw. What comes while no life is there to take it waits for the next one; a stop is never forgotten.
 */
export class Signals {
  readonly #stops: string[] = [];
  #taker: SignalTaker | undefined;
  #wishesRestart = false;

  /** `process`, but for tests. The launcher, which listens already, leaves it to us from here on. */
  constructor(process: Pick<EventEmitter, 'on'>, platform: NodeJS.Platform) {
    for (const signal of STOPS) process.on(signal, () => this.#stop(signal));
    if (platform !== 'win32') process.on('SIGUSR1', () => this.#restart());
  }

  get isStopWished(): boolean {
    return this.#stops.length > 0;
  }

  /** A life begins, and reads everything anew: a restart that was wished before is hereby done. */
  begin(): void {
    this.#wishesRestart = false;
  }

  /** Signals go to `taker` from now on, those first that came since `begin`. The returned function ends that. */
  deliverTo(taker: SignalTaker): () => void {
    this.#taker = taker;
    for (const why of this.#stops) taker.stop(why);
    if (this.#wishesRestart) taker.restartIfItMay('SIGUSR1');
    this.#wishesRestart = false;
    return () => {
      if (this.#taker === taker) this.#taker = undefined;
    };
  }

  #stop(signal: string): void {
    this.#stops.push(signal);
    this.#taker?.stop(signal);
  }

  #restart(): void {
    if (this.#taker === undefined) this.#wishesRestart = true;
    else this.#taker.restartIfItMay('SIGUSR1');
  }
}

let shared: Signals | undefined;
/** Those of this process; made once, never taken down. */
export function processSignals(): Signals {
  shared ??= new Signals(process, process.platform);
  return shared;
}
