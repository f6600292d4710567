import type { Agent } from '../agent/api.ts';
import type { PolicyHolder } from '../auth/policy.ts';
import type { DeviceStore } from '../auth/ports.ts';
import type { AuthLimiter } from '../auth/rate-limit.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import type { JsonObject } from '../lib/json.ts';
import { holdsScope, type Scope } from '../protocol/scopes.ts';
import type { Store } from '../store/sqlite/open.ts';
import type { DoorNotes } from './door-notes.ts';
import type { Listeners } from './listeners.ts';
import type { Hub } from './ws/hub.ts';

export interface StatusPorts {
  readonly snapshot: () => ConfigSnapshot;
  readonly listeners: () => Listeners;
  readonly agent: Agent;
  readonly db: Store;
  readonly policy: PolicyHolder;
  readonly limiter: AuthLimiter;
  readonly hub: Hub;
  readonly pending: () => number;
  readonly notes: Pick<DoorNotes, 'list'>;
  readonly version: string;
  readonly startedAtMs: number;
}

/** Held messages that a status names; all of them: `sessions.held.list`. */
const MAX_HELD = 20;

/** What this gateway says about itself in `status`: each hop with its state, only what was really looked at. */
export function gatewayFacts(ports: StatusPorts, scopes: readonly Scope[]): JsonObject {
  const snapshot = ports.snapshot();
  const { gateway } = snapshot.config;
  const { state } = ports.listeners();
  const store = ports.db.health();
  const model = ports.agent.defaultModel();
  const held = ports.agent.heldRuns();
  const admin = holdsScope(scopes, 'operator.admin');
  return {
    version: ports.version,
    startedAtMs: ports.startedAtMs,
    bind: gateway.bind,
    listen: state as unknown as JsonObject,
    authMode: ports.policy.current().mode,
    exposure: { tailscale: exposure(gateway.tailscale.mode, state.state === 'active' ? state.port : gateway.port) },
    store: store as unknown as JsonObject,
    model: model === undefined ? null : { provider: model.provider, id: model.id, source: model.source },
    activeRuns: ports.agent.activeRuns(),
    // Only where there are any: most never see one.
    ...(held.length > 0 && { heldRuns: held.length }),
    connections: ports.hub.size,
    pendingDevices: ports.pending(),
    lockedAddresses: ports.limiter.locked(),
    ...(admin && {
      ...(held.length > 0 && {
        held: held.slice(0, MAX_HELD).map(({ runId, sessionKey, heldAt }) => ({ runId, sessionKey, heldAt })),
      }),
      configPath: snapshot.paths.configPath,
      stateDir: snapshot.paths.stateDir,
      warnings: [...snapshot.warnings, ...ports.notes.list()].map(({ path, message }) => ({ path, message })),
    }),
  };
}

/** This version does not drive Tailscale; it says so where it was asked to. */
const exposure = (mode: 'off' | 'serve' | 'funnel', port: number): JsonObject =>
  mode === 'off'
    ? { state: 'off' }
    : {
        state: 'failed',
        why: `this version does not set up Tailscale ${mode === 'serve' ? 'Serve' : 'Funnel'} by itself`,
        fix: `tailscale ${mode} --bg ${port}`,
      };

/** Paired nodes as `node.list` shows them. */
export function nodeRows(devices: DeviceStore, hub: Hub): JsonObject[] {
  const online = new Set([...hub.all()].filter(({ principal }) => principal.role === 'node').map(({ principal }) => principal.deviceId));
  return devices
    .paired()
    .filter(({ device }) => device.roles.some(({ role }) => role === 'node'))
    .map(({ device }) => ({
      nodeId: device.deviceId,
      ...(device.displayName !== undefined && { displayName: device.displayName }),
      platform: device.platform,
      ...(device.deviceFamily !== undefined && { deviceFamily: device.deviceFamily }),
      caps: [],
      commands: [],
      paired: true,
      connected: online.has(device.deviceId),
    }));
}
