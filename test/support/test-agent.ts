import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Agent, RunEvent, SessionEvent, TurnRequest } from '../../src/agent/api.ts';
import { type AgentFileConfig, agentConfig } from '../../src/agent/config.ts';
import { createAgent } from '../../src/agent/create-agent.ts';
import type { AgentConfig, AgentPorts, AgentStore, LocalServerSpec } from '../../src/agent/ports.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { attachmentFiles } from '../../src/store/attachments.ts';
import type { EventLog } from '../../src/store/event-log.ts';
import { AGENT_SCHEMA, AGENT_WAITING_SCHEMA, createAgentStore } from '../../src/store/sqlite/agent.ts';
import type { Tx } from '../../src/store/sqlite/database.ts';
import { EVENT_LOG_STEP, eventLog } from '../../src/store/sqlite/event-log.ts';
import { openDatabase, type Store } from '../../src/store/sqlite/open.ts';
import { SESSION_LIST_STEP } from '../../src/store/sqlite/session-list.ts';
import { UNNAMED_SESSIONS_STEP } from '../../src/store/sqlite/unnamed-sessions.ts';

export interface TestAgent extends AsyncDisposable {
  readonly agent: Agent;
  readonly db: Store;
  readonly events: EventLog<Tx>;
  readonly dir: string;
  readonly workspace: string;
  /** Everything the runs told, in order. */
  readonly runEvents: RunEvent[];
  readonly sessionEvents: SessionEvent[];
  setConfig(change: (config: AgentConfig) => AgentConfig): void;
  /** Sends and waits for the end. */
  ask(message: string, more?: Partial<TurnRequest>): Promise<Awaited<ReturnType<Agent['wait']>>>;
  /** Resolves when a run has told something that `matches`; also when it already has. */
  told(matches: (event: RunEvent) => boolean): Promise<RunEvent>;
  /** As a kill does: nothing more is written, nothing is drained. The directory stays for the next one. */
  crash(): Promise<void>;
}

export interface TestAgentOptions {
  /** Base URL of an OpenAI-compatible server; its model is `test/scripted`. */
  readonly provider?: string;
  readonly apiKey?: string;
  readonly contextWindow?: number;
  readonly file?: AgentFileConfig;
  readonly localServers?: readonly LocalServerSpec[];
  readonly envKeys?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** An earlier agent's directory. */
  readonly dir?: string;
  readonly ports?: Partial<AgentPorts>;
  /** No turn begins until `agent.resume()`. */
  readonly held?: boolean;
  /** Puts something between the agent and its store: a disk that fails. */
  readonly wrapStore?: (store: AgentStore) => AgentStore;
}

export const KEY = 'agent:main:main';
let runs = 0;

/** A turn for the main session, from an owner. */
export const turn = (message: string, more: Partial<TurnRequest> = {}): TurnRequest => ({
  runId: `run-${process.pid}-${++runs}`,
  sessionKey: KEY,
  message,
  origin: { principalId: 'owner', via: 'chat' },
  ...more,
});

/** The resident agent on a real database in a temporary directory. */
export async function testAgent(options: TestAgentOptions = {}): Promise<TestAgent> {
  const dir = options.dir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'oca-'));
  const workspace = path.join(dir, 'workspace');
  const clock = options.clock ?? systemClock;
  const opened = await openDatabase(path.join(dir, 'db.sqlite'), {
    schemas: [EVENT_LOG_STEP, AGENT_SCHEMA, SESSION_LIST_STEP, UNNAMED_SESSIONS_STEP, AGENT_WAITING_SCHEMA],
  });
  if (!opened.ok) throw opened.error;
  const db = opened.value;
  const events = eventLog(db);
  const providers: NonNullable<NonNullable<AgentFileConfig['models']>['providers']> =
    options.provider === undefined
      ? {}
      : {
          test: {
            baseUrl: options.provider,
            ...(options.apiKey !== undefined && { apiKey: options.apiKey }),
            models: [{ id: 'scripted', ...(options.contextWindow !== undefined && { contextWindow: options.contextWindow }) }],
          },
        };
  let config = agentConfig(
    { ...options.file, models: { providers: { ...providers, ...options.file?.models?.providers } } },
    {
      resolvePath: (given) => given,
      workspace,
      protectedPaths: [path.join(dir, 'secret')],
      envKeys: options.envKeys ?? {},
      localServers: options.localServers ?? [],
    },
  );
  // A kill is simulated by letting no further write through: what was durable then is what the next life finds.
  let dead = false;
  const gate: Store = { ...db, write: (work) => (dead ? new Promise(() => {}) : db.write(work)) };
  const agent = await createAgent({
    store: options.wrapStore?.(createAgentStore(gate, events)) ?? createAgentStore(gate, events),
    attachments: attachmentFiles(path.join(dir, 'attachments')),
    config: { current: () => config },
    clock,
    log: silentLog,
    fetch: (input, init) => fetch(input, init),
    here: () => ({ port: 18789, user: 'me', host: 'home.example', docsDir: path.join(dir, 'docs') }),
    python: async () => ({ found: true, text: '3.12.1' }),
    ...options.ports,
  });
  if (options.held !== true) agent.resume();
  const runEvents: RunEvent[] = [];
  const sessionEvents: SessionEvent[] = [];
  const watchers = new Set<() => void>();
  agent.onRunEvent((event) => {
    runEvents.push(event);
    for (const watch of watchers) watch();
  });
  agent.onSessionEvent((event) => {
    sessionEvents.push(event);
  });
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await db.close();
  };
  return {
    agent,
    db,
    events,
    dir,
    workspace,
    runEvents,
    sessionEvents,
    setConfig(change) {
      config = change(config);
    },
    async ask(message, more) {
      const request = turn(message, more);
      const outcome = await agent.send(request);
      if (outcome.status === 'refused') throw new Error(`refused: ${outcome.error.message}`);
      return await agent.wait(request.runId, 30_000);
    },
    told: (matches) =>
      new Promise((resolve, reject) => {
        const limit = setTimeout(() => {
          watchers.delete(look);
          reject(new Error(`not told within 10 s; told: ${runEvents.map(({ type }) => type).join(' ')}`));
        }, 10_000);
        const look = (): void => {
          const found = runEvents.find(matches);
          if (found === undefined) return;
          clearTimeout(limit);
          watchers.delete(look);
          resolve(found);
        };
        watchers.add(look);
        look();
      }),
    async crash() {
      dead = true;
      await close();
    },
    async [Symbol.asyncDispose]() {
      if (!dead) await agent.drain(0);
      await close();
      if (options.dir === undefined) fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}
