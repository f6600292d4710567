import type { Agent, RunEvent } from '../../../agent/api.ts';
import type { Cancel } from '../../../lib/clock.ts';

/** Hands each run's events to the one request that waits for it: one listener at the agent, however many requests there are. */
export class RunWatch {
  readonly #watchers = new Map<string, (event: RunEvent) => void>();

  constructor(agent: Pick<Agent, 'onRunEvent'>) {
    agent.onRunEvent((event) => this.#watchers.get(event.runId)?.(event));
  }

  /** Begin before the run is sent, or its first events are missed. */
  watch(runId: string, watcher: (event: RunEvent) => void): Cancel {
    this.#watchers.set(runId, watcher);
    return () => void this.#watchers.delete(runId);
  }
}
