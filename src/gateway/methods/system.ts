import type { Agent } from '../../agent/api.ts';
import type { ConfigView } from '../../config/config-view.ts';
import type { Clock } from '../../lib/clock.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { ParamsOf } from '../../protocol/define.ts';
import { refuse } from '../../protocol/errors.ts';
import type * as wire from '../../protocol/methods/system.ts';
import { holdsScope } from '../../protocol/scopes.ts';
import { type Call, type Handler, Prebuilt } from '../call.ts';
import { statusResult } from '../events/health-shape.ts';
import type { Health } from '../health.ts';
import { tailLog } from '../log-file.ts';
import type { Presence } from '../presence.ts';
import { modelDefaults } from './model-defaults.ts';

export interface SystemPorts {
  readonly agent: Agent;
  readonly clock: Clock;
  readonly health: Health;
  readonly presence: Presence;
  readonly identity: { readonly deviceId: string; readonly publicKey: string };
  readonly logFile: () => string;
  readonly version: string;
  /** `config.get` with every secret replaced. */
  readonly configView: () => Promise<ConfigView | undefined>;
  /** What a person wants to know about this process: listeners, exposure, model, store. Shown by `status`. */
  readonly facts: (call: Call) => JsonObject;
  /** Paired nodes for `node.list`. */
  readonly nodes: () => readonly Record<string, unknown>[];
  readonly workspace: () => string;
  readonly stateDir: string;
}

/** The answers that were written out, by view: it is the same for everybody, and large. */
const written = new WeakMap<ConfigView, { v3?: string; v4?: string }>();

function viewJson(view: ConfigView, isV3: boolean): string {
  const texts = written.get(view) ?? {};
  written.set(view, texts);
  if (isV3) {
    texts.v3 ??= JSON.stringify(view);
    return texts.v3;
  }
  if (texts.v4 === undefined) {
    // Panels of protocol 4 know the file as written, as resolved, and as it runs, by names of their own; and which of its parts are included.
    const { parsed: sourceConfig, config: runtimeConfig, hash } = view;
    const included = { includedPaths: [], includeProvenance: [], agentRosterIncludeOwned: false, bindingsIncludeOwned: false };
    const fields = { ...view, ...included, sourceConfig, runtimeConfig, configRevisionHash: hash, appliedConfigHash: hash };
    // The same tree stands under several names, and is written out once.
    const trees = new Map<unknown, string>();
    const json = (value: unknown): string => {
      if (typeof value !== 'object') return JSON.stringify(value);
      const text = trees.get(value) ?? JSON.stringify(value);
      trees.set(value, text);
      return text;
    };
    texts.v4 = `{${Object.entries(fields)
      .map(([name, value]) => `${JSON.stringify(name)}:${json(value)}`)
      .join(',')}}`;
  }
  return texts.v4;
}

export function systemHandlers(ports: SystemPorts) {
  const { agent, clock } = ports;
  return {
    health: (params: ParamsOf<typeof wire.health>, call) =>
      new Prebuilt(ports.health.json(call.protocol, holdsScope(call.principal.scopes, 'operator.read'), params.probe === true)),
    status: (_params: unknown, call) => {
      const page = agent.sessions({ limit: 10 });
      return statusResult(call.protocol, {
        ok: true,
        now: clock.now(),
        durationMs: 0,
        agents: agent.agents(),
        sessions: page.sessions,
        sessionCount: page.total,
        version: ports.version,
        defaults: modelDefaults(agent),
        // What is ours alone stands under a key that no existing client reads.
        gateway: ports.facts(call),
        process: { pid: process.pid, memory: memory() },
      });
    },
    'system-presence': () => new Prebuilt(ports.presence.json(Number.POSITIVE_INFINITY)),
    'gateway.identity.get': () => ports.identity,
    'logs.tail': (params: ParamsOf<typeof wire.logsTail>) =>
      tailLog(ports.logFile(), {
        ...(params.cursor !== undefined && { cursor: params.cursor }),
        limit: params.limit ?? 500,
        maxBytes: params.maxBytes ?? 250_000,
      }),
    'config.get': async (_params: unknown, call) => {
      const view = await ports.configView();
      if (view === undefined)
        return refuse('UNAVAILABLE', 'the config is too large to be sent: openclaw config get, on the gateway', { retryable: false });
      return new Prebuilt(viewJson(view, call.protocol === 3));
    },

    // Parts that do not exist yet say so in the shape that panels read: nothing is configured, nothing is wrong.
    'channels.status': (_params: unknown, call) => ({
      ts: clock.now(),
      channelOrder: [],
      channelLabels: {},
      channelDetailLabels: {},
      channelSystemImages: {},
      channelMeta: [],
      channels: {},
      channelAccounts: {},
      channelDefaultAccountId: {},
      ...(call.protocol === 4 && { statusIssues: [] }),
    }),
    'last-heartbeat': () => null,
    'cron.list': (params: ParamsOf<typeof wire.cronList>, call) => ({
      jobs: [],
      ...(call.protocol === 4 && { snapshotRevision: 'empty', deliveryPreviews: {} }),
      total: 0,
      offset: params.offset ?? 0,
      limit: params.limit ?? 50,
      hasMore: false,
      nextOffset: null,
    }),
    'skills.status': (params: ParamsOf<typeof wire.skillsStatus>, call) => ({
      workspaceDir: ports.workspace(),
      managedSkillsDir: `${ports.stateDir}/skills`,
      ...(call.protocol === 4 && { agentId: params.agentId ?? agent.agents().find(({ isDefault }) => isDefault)?.id ?? 'main' }),
      skills: [],
    }),
    'node.list': () => ({ ts: clock.now(), nodes: ports.nodes() }),
  } satisfies Record<string, Handler<never>>;
}

function memory(): JsonObject {
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
  return { rssBytes: rss, heapUsedBytes: heapUsed, heapTotalBytes: heapTotal, externalBytes: external, arrayBuffersBytes: arrayBuffers };
}
