import type { RunEvent } from '../../agent/api.ts';
import type { Protocol } from '../../protocol/version.ts';
import { RunShape3 } from './run-shape-3.ts';
import { RunShape4 } from './run-shape-4.ts';
import type { RunShape, ShapedEvent } from './shaped-event.ts';

/** Runs whose frames are being counted at a time. Far above what an agent runs at once; a bound all the same. */
export const MAX_SHAPED_RUNS = 4_096;

export interface RunFanoutOptions {
  /** Whether tool results travel on protocol 3 in this session (verbosity `full`). */
  readonly toolResults?: (sessionKey: string) => boolean;
  readonly maxRuns?: number;
}

/** Turns the agent's run events into the frames of both protocols, each shaped once however many connections there are. */
export class RunFanout {
  readonly #runs = new Map<string, Readonly<Record<Protocol, RunShape>>>();
  readonly #toolResults: (sessionKey: string) => boolean;
  readonly #maxRuns: number;

  constructor(options: RunFanoutOptions = {}) {
    this.#toolResults = options.toolResults ?? (() => false);
    this.#maxRuns = options.maxRuns ?? MAX_SHAPED_RUNS;
  }

  /**
   * Every event of every run, in order. A run that ends is forgotten with its last frames. `isBehind`: what was made before is not handed
   * out yet, so that texts which are told again as they grow wait.
   */
  feed(event: RunEvent, isBehind = false): Readonly<Record<Protocol, readonly ShapedEvent[]>> {
    const shapes = this.#runs.get(event.runId) ?? this.#begin(event);
    const frames = { 3: shapes[3].feed(event, isBehind), 4: shapes[4].feed(event, isBehind) };
    if (event.type === 'end') this.#runs.delete(event.runId);
    return frames;
  }

  get size(): number {
    return this.#runs.size;
  }

  #begin(event: RunEvent): Readonly<Record<Protocol, RunShape>> {
    if (this.#runs.size >= this.#maxRuns) {
      const [oldest] = this.#runs.keys();
      if (oldest !== undefined) this.#runs.delete(oldest);
    }
    const shapes = { 3: new RunShape3({ toolResults: this.#toolResults(event.sessionKey) }), 4: new RunShape4() };
    this.#runs.set(event.runId, shapes);
    return shapes;
  }
}
