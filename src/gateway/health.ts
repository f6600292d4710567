import type { Agent } from '../agent/api.ts';
import type { Clock } from '../lib/clock.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Protocol } from '../protocol/version.ts';
import { healthResult } from './events/health-shape.ts';

/** How soon after a change a snapshot may be taken again: a busy agent must not make every `health` a query. */
const SETTLE_MS = 1_000;

/** The `health` snapshot as JSON text, one per protocol: taken at most once a second, at least once a minute, whoever asks how often. */
export class Health {
  readonly #agent: Agent;
  readonly #clock: Clock;
  readonly #isSound: () => boolean;
  #version = 1;
  #stale = true;
  #taken: { at: number; texts: Readonly<Record<Protocol, Record<'reader' | 'other', string>>> } | undefined;

  constructor(agent: Agent, clock: Clock, isSound: () => boolean) {
    this.#agent = agent;
    this.#clock = clock;
    this.#isSound = isSound;
    agent.onSessionEvent(() => {
      this.#stale = true;
    });
  }

  get version(): number {
    return this.#version;
  }

  /** `reads`: for somebody with `operator.read`. The others learn that all is well, not which sessions there are. */
  json(protocol: Protocol, reads: boolean, probe = false): string {
    const audience = reads ? 'reader' : 'other';
    const now = this.#clock.monotonic();
    const taken = this.#taken;
    const limit = this.#stale ? SETTLE_MS : LIMITS.healthRefreshMs;
    if (taken !== undefined && now - taken.at < (probe ? 0 : limit)) return taken.texts[protocol][audience];
    const started = this.#clock.monotonic();
    const page = this.#agent.sessions({ limit: 5 });
    const base = {
      ok: this.#isSound(),
      agents: this.#agent.agents(),
      sessions: page.sessions,
      sessionCount: page.total,
      now: this.#clock.now(),
    };
    const texts = { 3: { reader: '', other: '' }, 4: { reader: '', other: '' } };
    for (const p of [3, 4] as const) {
      const input = { ...base, durationMs: Math.round(this.#clock.monotonic() - started) };
      texts[p] = {
        reader: JSON.stringify(healthResult(p, input)),
        other: JSON.stringify(healthResult(p, { ...input, sessions: [] })),
      };
    }
    this.#taken = { at: now, texts };
    this.#stale = false;
    this.#version++;
    return texts[protocol][audience];
  }
}
