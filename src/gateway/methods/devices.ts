import type { Approvals } from '../../auth/approvals.ts';
import type { AuditTrail } from '../../auth/audit.ts';
import type { DeviceStore, PairedDevice, PendingRecord } from '../../auth/ports.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { ParamsOf } from '../../protocol/define.ts';
import { isRefusal } from '../../protocol/errors.ts';
import type * as wire from '../../protocol/methods/devices.ts';
import { type Call, type Handler, Prebuilt } from '../call.ts';

export interface DevicePorts {
  readonly approvals: Approvals;
  readonly devices: DeviceStore;
  readonly audit: AuditTrail;
  /** Devices with an open connection. */
  readonly connected: () => ReadonlySet<string>;
}

/** Who is paired and who waits. What may be handed out is judged in `auth`; here it is only asked, shown and written down. */
export function deviceHandlers(ports: DevicePorts) {
  const { approvals, devices } = ports;
  const noted = <T>(event: string, call: Call, deviceId: string | undefined, answer: T): T => {
    if (!isRefusal(answer)) ports.audit.event({ event, actor: call.principal.id, ...(deviceId !== undefined && { deviceId }) });
    return answer;
  };
  return {
    'device.pair.list': () => {
      const online = ports.connected();
      const paired = devices.paired().map((one) => rowText(one, online.has(one.device.deviceId)));
      return new Prebuilt(`{"pending":${JSON.stringify(approvals.pending().map(pendingRow))},"paired":[${paired.join(',')}]}`);
    },
    'device.pair.approve': async (params: ParamsOf<typeof wire.pairApprove>, call) => {
      const answer = await approvals.approve(params.requestId, call.principal);
      if (isRefusal(answer)) return answer;
      const { device } = answer;
      const row = pairedRow({ device, tokens: devices.tokens(device.deviceId) }, ports.connected().has(device.deviceId));
      return noted('paired', call, answer.device.deviceId, { requestId: answer.requestId, device: row });
    },
    'device.pair.reject': async (params: ParamsOf<typeof wire.pairReject>, call) =>
      noted('pair-rejected', call, undefined, await approvals.reject(params.requestId)),
    'device.pair.remove': async (params: ParamsOf<typeof wire.pairRemove>, call) =>
      noted('device-removed', call, params.deviceId, await approvals.remove(params.deviceId, call)),
    'device.token.rotate': async (params: ParamsOf<typeof wire.tokenRotate>, call) =>
      noted(
        'token-rotated',
        call,
        params.deviceId,
        await approvals.rotate(params.deviceId, params.role, params.scopes, call.principal, call),
      ),
    'device.token.revoke': async (params: ParamsOf<typeof wire.tokenRevoke>, call) =>
      noted('token-revoked', call, params.deviceId, await approvals.revoke(params.deviceId, params.role, call.principal, call)),
  } satisfies Record<string, Handler<never>>;
}

/** A request as `device.pair.requested` and `device.pair.list` show it. */
export function pendingRow(request: PendingRecord): JsonObject {
  return {
    requestId: request.requestId,
    deviceId: request.deviceId,
    publicKey: request.publicKey,
    ...(request.displayName !== undefined && { displayName: request.displayName }),
    platform: request.platform,
    ...(request.deviceFamily !== undefined && { deviceFamily: request.deviceFamily }),
    clientId: request.clientId,
    clientMode: request.clientMode,
    role: request.role,
    roles: [request.role],
    scopes: request.scopes,
    ...(request.remoteIp !== undefined && { remoteIp: request.remoteIp }),
    ...(request.login !== undefined && { login: request.login }),
    reason: request.reason,
    silent: false,
    isRepair: request.isRepair,
    ts: request.createdAtMs,
    expiresAtMs: request.expiresAtMs,
  };
}

/** Rows as they were shown last: most devices are as they were when the list is asked for again. */
const shown = new WeakMap<PairedDevice, { readonly connected: boolean; readonly text: string }>();

function rowText(paired: PairedDevice, connected: boolean): string {
  const known = shown.get(paired);
  if (known?.connected === connected) return known.text;
  const text = JSON.stringify(pairedRow(paired, connected));
  shown.set(paired, { connected, text });
  return text;
}

function pairedRow({ device, tokens }: PairedDevice, connected: boolean): JsonObject {
  const seen = tokens.flatMap(({ lastUsedAtMs }) => lastUsedAtMs ?? []);
  return {
    deviceId: device.deviceId,
    publicKey: device.publicKey,
    ...(device.displayName !== undefined && { displayName: device.displayName }),
    platform: device.platform,
    ...(device.deviceFamily !== undefined && { deviceFamily: device.deviceFamily }),
    clientId: device.clientId,
    clientMode: device.clientMode,
    role: device.roles[0]?.role ?? 'operator',
    roles: device.roles.map(({ role }) => role),
    scopes: [...new Set(device.roles.flatMap(({ scopes }) => scopes))].sort(),
    ...(device.remoteIp !== undefined && { remoteIp: device.remoteIp }),
    approvedVia: device.approvedVia,
    createdAtMs: device.createdAtMs,
    approvedAtMs: device.approvedAtMs,
    connected,
    ...(seen.length > 0 && { lastSeenAtMs: Math.max(...seen) }),
    tokens: tokens.map((token) => ({
      role: token.role,
      scopes: token.bound ?? device.roles.find(({ role }) => role === token.role)?.scopes ?? [],
      createdAtMs: token.createdAtMs,
      expiresAtMs: token.expiresAtMs,
      ...(token.lastUsedAtMs !== undefined && { lastUsedAtMs: token.lastUsedAtMs }),
    })),
  };
}
