import type { AgentView, SessionView } from '../../agent/api.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Protocol } from '../../protocol/version.ts';
import { defaultsBlock, type SessionModelDefaults } from './session-shape.ts';

export interface HealthInput {
  readonly ok: boolean;
  readonly now: number;
  /** How long the check took, ms. */
  readonly durationMs: number;
  readonly agents: readonly AgentView[];
  /** Newest first; at least the newest five of each agent. */
  readonly sessions: readonly SessionView[];
  readonly sessionCount: number;
  /** Why the event loop counts as late; empty when it does not. */
  readonly degraded?: readonly string[];
}

const RECENT = 5;
/** No heartbeat part yet: truly off, in the shape clients read. */
const NO_HEARTBEAT = { enabled: false, every: '0m', everyMs: 0, prompt: '', target: 'none', ackMaxChars: 300 };

const zeros = (...names: string[]): JsonObject => Object.fromEntries(names.map((name) => [name, 0]));
/** No background tasks either: every count that clients add up is there, and nought. */
const NO_TASKS = {
  ...zeros('total', 'active', 'terminal', 'failures'),
  byStatus: zeros('queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled', 'lost'),
  byRuntime: zeros('subagent', 'acp', 'cli', 'cron'),
};
const NO_TASK_AUDIT = {
  ...zeros('total', 'warnings', 'errors'),
  byCode: zeros('stale_queued', 'stale_running', 'lost', 'delivery_failed', 'missing_cleanup', 'inconsistent_timestamps'),
};

const defaultAgent = (agents: readonly AgentView[]): string => agents.find((agent) => agent.isDefault)?.id ?? agents[0]?.id ?? 'main';

/** The result of `health` and the payload of the event. Parts that do not exist here are empty, not missing. */
export function healthResult(protocol: Protocol, input: HealthInput): JsonObject {
  const { ok, now, durationMs, agents, sessions, sessionCount, degraded = [] } = input;
  const recent = (rows: readonly SessionView[]): JsonObject[] =>
    rows.slice(0, RECENT).map(({ key, updatedAt }) => ({ key, updatedAt, age: Math.max(0, now - updatedAt) }));
  const base = {
    channels: {},
    channelOrder: [],
    channelLabels: {},
    heartbeatSeconds: 0,
    defaultAgentId: defaultAgent(agents),
    agents: agents.map(({ id, name, isDefault }) => {
      const own = sessions.filter((session) => session.agentId === id);
      const count = agents.length === 1 ? sessionCount : own.length;
      return { agentId: id, name, isDefault, heartbeat: NO_HEARTBEAT, sessions: { path: '(database)', count, recent: recent(own) } };
    }),
    sessions: { path: '(database)', count: sessionCount, recent: recent(sessions) },
  };
  if (protocol === 3) return { ok, ts: now, durationMs, ...base };
  return {
    ok,
    ts: now,
    durationMs,
    plugins: { loaded: [], errors: [], unavailable: [] },
    configReload: { hotReloadStatus: 'active' },
    ...base,
    modelRuntime: { degraded: false, pendingAgents: [] },
    eventLoop: { degraded: degraded.length > 0, reasons: degraded },
  };
}

export interface StatusInput extends HealthInput {
  readonly version: string;
  readonly defaults: SessionModelDefaults;
  /** What this gateway says about itself beyond the shape that existing clients know; goes out as `gateway`. */
  readonly gateway?: JsonObject;
  readonly process: { readonly pid: number; readonly memory: JsonObject };
}

/** The result of `status`. */
export function statusResult(protocol: Protocol, input: StatusInput): JsonObject {
  const { agents, sessions, sessionCount, now, defaults } = input;
  const rows = (list: readonly SessionView[]): JsonObject[] => list.slice(0, 10).map((session) => statusRow(session, defaults, now));
  const heartbeat = {
    defaultAgentId: defaultAgent(agents),
    agents: agents.map(({ id }) => ({ agentId: id, enabled: false, every: '0m', everyMs: 0 })),
  };
  const { model, contextTokens } = defaultsBlock(3, defaults);
  const overview = {
    paths: [],
    count: sessionCount,
    defaults: { model: model ?? null, contextTokens: contextTokens ?? null },
    recent: rows(sessions),
    byAgent: agents.map(({ id }) => {
      const own = sessions.filter((session) => session.agentId === id);
      return { agentId: id, path: '(database)', count: agents.length === 1 ? sessionCount : own.length, recent: rows(own) };
    }),
  };
  const base = {
    runtimeVersion: input.version,
    heartbeat,
    channelSummary: [],
    queuedSystemEvents: [],
    sessions: overview,
    ...(input.gateway ? { gateway: input.gateway } : {}),
  };
  if (protocol === 3) return base;
  return {
    ...base,
    hostDesktop: { enabled: false, state: 'disabled' },
    degradedSecretOwners: [],
    degradedPlugins: [],
    tasks: NO_TASKS,
    taskAudit: NO_TASK_AUDIT,
    modelRuntime: { degraded: false, pendingAgents: [] },
    eventLoop: { degraded: (input.degraded ?? []).length > 0, reasons: input.degraded ?? [] },
    processMemory: input.process.memory,
    pid: input.process.pid,
  };
}

function statusRow(session: SessionView, defaults: SessionModelDefaults, now: number): JsonObject {
  const limit = session.contextTokens ?? defaults.contextTokens;
  const used = session.contextUsed;
  return {
    agentId: session.agentId,
    key: session.key,
    kind: 'direct',
    sessionId: session.sessionId,
    updatedAt: session.updatedAt,
    age: Math.max(0, now - session.updatedAt),
    systemSent: used !== undefined,
    abortedLastRun: session.abortedLastRun,
    totalTokens: used ?? null,
    totalTokensFresh: used !== undefined,
    remainingTokens: used === undefined || limit === undefined ? null : Math.max(0, limit - used),
    percentUsed: used === undefined || limit === undefined || limit === 0 ? null : Math.min(100, Math.round((used / limit) * 100)),
    model: session.model?.id ?? defaults.model,
    contextTokens: limit ?? null,
    flags: [...(used === undefined ? [] : ['system']), `id:${session.sessionId}`],
  };
}
