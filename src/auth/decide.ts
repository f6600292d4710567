import { closeScopes, intersectScopes, OPERATOR_SCOPES, type Role, type Scope, SECRET_SCOPES } from '../protocol/scopes.ts';
import type { Ingress } from './ingress.ts';
import type { AuthMode } from './policy.ts';
import type { ApprovedRole, PairingReason } from './ports.ts';
import type { Reason } from './reasons.ts';

/** The first of what was presented that holds; the rest was not looked at. */
export type Held =
  | { readonly what: 'nothing'; readonly presented: boolean; readonly why: Reason }
  | { readonly what: 'device-token'; readonly bound: readonly Scope[] | undefined }
  /** Not compared: without the key it is worth nothing, so nobody learns whether it was right. */
  | { readonly what: 'device-token-without-key' }
  | { readonly what: 'secret' }
  | { readonly what: 'code'; readonly kind: 'link' | 'short'; readonly roles: readonly ApprovedRole[] }
  | { readonly what: 'tailnet-identity'; readonly login: string; readonly isOwner: boolean }
  | { readonly what: 'proxy-identity'; readonly user: string; readonly scopes: readonly Scope[] };

/** What the gateway knows of the device whose key was proven, for the role that is asked. */
export type DeviceStanding =
  | { readonly state: 'none' }
  /** `hasOtherRole`: paired, but not for this role. */
  | { readonly state: 'new'; readonly hasOtherRole: boolean }
  | { readonly state: 'paired'; readonly approved: readonly Scope[] }
  /** Was removed before, or its platform is not the one it was paired with. */
  | { readonly state: 'returning'; readonly reason: PairingReason };

/** All that decides. Made by `gather`, which has done every comparison; nothing here can fail. */
export interface Evidence {
  readonly transport: 'ws' | 'http';
  readonly mode: AuthMode;
  readonly origin: 'fine' | 'foreign' | 'invalid';
  readonly role: Role;
  /** Known scopes only, as asked. Unused on HTTP. */
  readonly requested: readonly Scope[];
  /** An Origin header is there: a page is talking. */
  readonly isBrowser: boolean;
  readonly device: DeviceStanding;
  readonly held: Held;
  /** One of the reference's two switches that let the panel in without a device. */
  readonly deviceAuthOptOut: boolean;
}

export type Decision =
  | {
      readonly outcome: 'admit';
      readonly as: 'socket' | 'device' | 'secret' | 'none';
      /** Closed downwards. */
      readonly scopes: readonly Scope[];
      /** What is approved by this very connect. */
      readonly approve: readonly ApprovedRole[];
      /** What was asked for and is not approved: a request for it is filed. */
      readonly file: readonly Scope[];
      readonly warning?: string;
    }
  /** A request is filed; the connection is refused until somebody approves. */
  | { readonly outcome: 'pend'; readonly reason: PairingReason }
  | { readonly outcome: 'refuse'; readonly why: Reason; readonly isCounted: boolean };

type Cell = (e: Evidence) => Decision;
type Column = Ingress['kind'];

/**
 * Who gets in: the table, and nothing else. Pure and total. Two rules stand above it: a foreign Origin is refused before anything is
 * weighed, and without authentication (mode none) only this machine's own user gets in, by WebSocket.
 */
export function decide(ingress: Pick<Ingress, 'kind'>, e: Evidence): Decision {
  if (e.origin !== 'fine') return refuse(e.origin === 'foreign' ? 'origin_foreign' : 'origin_invalid');
  if (e.mode === 'none' && ingress.kind !== 'socket')
    return ingress.kind === 'local' && e.transport === 'ws' ? unguarded(e) : refuse('mode_none');
  return TABLE[rowOf(e)][ingress.kind](e);
}

export const ROWS = [
  'nothing presented',
  'nothing of what was presented',
  'secret + new signed device',
  'secret + paired device',
  'device token + its key',
  'device token without its key',
  'secret, no device, no Origin',
  'secret, no device, browser',
  'tailnet identity + new device',
  'tailnet identity + paired device',
  'proxy identity + new device',
  'proxy identity + paired device',
  'identity, no device',
  'code + signed device',
  'code, no device',
  'role node, new',
  'role node, paired',
  'role node, no device',
  'device changed or removed before',
  'HTTP: secret',
  'HTTP: device token',
] as const;
export type Row = (typeof ROWS)[number];

/** Which row a case is in. The rows of nodes and of returning devices win over those of what holds; a code is an approval by itself. */
export function rowOf(e: Evidence): Row {
  const { held, device } = e;
  if (held.what === 'nothing') return held.presented ? 'nothing of what was presented' : 'nothing presented';
  if (e.transport === 'http') {
    if (held.what === 'secret') return 'HTTP: secret';
    return held.what === 'device-token' ? 'HTTP: device token' : 'nothing of what was presented';
  }
  if (held.what === 'device-token-without-key') return 'device token without its key';
  if (held.what === 'code') return device.state === 'none' ? 'code, no device' : 'code + signed device';
  if (e.role === 'node' && device.state === 'none') return 'role node, no device';
  if (device.state === 'returning') return 'device changed or removed before';
  if (e.role === 'node') return device.state === 'paired' ? 'role node, paired' : 'role node, new';
  switch (held.what) {
    case 'device-token':
      return device.state === 'paired' ? 'device token + its key' : 'device token without its key';
    case 'secret':
      if (device.state === 'none') return e.isBrowser ? 'secret, no device, browser' : 'secret, no device, no Origin';
      return device.state === 'paired' ? 'secret + paired device' : 'secret + new signed device';
    case 'tailnet-identity':
      if (device.state === 'none') return 'identity, no device';
      return device.state === 'paired' ? 'tailnet identity + paired device' : 'tailnet identity + new device';
    case 'proxy-identity':
      if (device.state === 'none') return 'identity, no device';
      return device.state === 'paired' ? 'proxy identity + paired device' : 'proxy identity + new device';
  }
}

// Cells.

const refuse = (why: Reason, isCounted = false): Decision => ({ outcome: 'refuse', why, isCounted });
const never: Cell = () => refuse('unauthorized');

/** The admin socket: whoever opens it is the owner, and needs nothing. A node still needs a device, and its approval. */
const owner: Cell = (e) => {
  if (e.role !== 'node') return admit('socket', OPERATOR_SCOPES);
  if (e.device.state === 'none') return deviceRequired(e);
  return e.device.state === 'paired' ? asDevice([]) : pend(e);
};

const nothing: Cell = (e) => (e.held.what === 'nothing' ? refuse(e.held.why, e.held.presented) : refuse('unauthorized'));

const pend: Cell = ({ device }) => {
  if (device.state === 'returning') return { outcome: 'pend', reason: device.reason };
  return { outcome: 'pend', reason: device.state === 'new' && device.hasOtherRole ? 'role-upgrade' : 'not-paired' };
};

const deviceRequired: Cell = (e) => refuse(e.isBrowser && e.role === 'operator' ? 'panel_device_required' : 'device_required');
const tokenWithoutKey: Cell = () => refuse('device_required', true);

const pairRequested: Cell = (e) => pairWith(e, e.requested);
const pairReadWrite: Cell = (e) => pairWith(e, SECRET_SCOPES);

/** Requested ∩ approved; a request is filed for the rest. */
const approvedOnly: Cell = (e) => {
  if (e.device.state !== 'paired') return pend(e);
  const approved = e.device.approved;
  const bound = e.held.what === 'device-token' && e.held.bound !== undefined ? intersectScopes(approved, e.held.bound) : approved;
  return asDevice(intersectScopes(e.requested, bound), { file: beyond(e.requested, approved) });
};

/** Local: the holder of the secret could pair a fresh key for the same, so an upgrade of this one is granted and kept. */
const upgradeAtOnce: Cell = (e) => {
  const approved = e.device.state === 'paired' ? e.device.approved : [];
  const more = beyond(e.requested, approved);
  const approve: ApprovedRole[] = more.length === 0 ? [] : [{ role: e.role, scopes: union(approved, e.requested) }];
  return asDevice(closeScopes(e.requested), { approve });
};

const secretAlone: Cell = (e) => admit('secret', intersectScopes(e.requested, SECRET_SCOPES));
const secretAloneLocal: Cell = (e) => admit('secret', closeScopes(e.requested));
/** What the shared secret is worth on HTTP, whatever the ingress. */
const secretOnHttp: Cell = () => admit('secret', closeScopes(SECRET_SCOPES));

const panelWithoutDevice: Cell = (e) =>
  e.deviceAuthOptOut
    ? {
        ...admit('secret', closeScopes(e.requested)),
        warning: 'a browser without a device was let in, because gateway.controlUi switches device identity off',
      }
    : deviceRequired(e);

const byTailnet: Cell = (e) => (e.held.what === 'tailnet-identity' && e.held.isOwner ? pairWith(e, e.requested) : pend(e));
const byProxy: Cell = (e) => (e.held.what === 'proxy-identity' ? pairWith(e, e.held.scopes) : never(e));

const byCode: Cell = (e) => {
  if (e.held.what !== 'code') return never(e);
  const own = e.held.roles.find(({ role }) => role === e.role);
  if (own === undefined) return refuse('bootstrap_token_invalid', true);
  return asDevice(intersectScopes(e.requested, own.scopes), { approve: e.held.roles, file: beyond(e.requested, own.scopes) });
};
/** A code of a few characters can be guessed by all the world. */
const byLinkOnly: Cell = (e) => (e.held.what === 'code' && e.held.kind === 'short' ? refuse('bootstrap_token_invalid', true) : byCode(e));

const nodePaired: Cell = () => asDevice([]);
const httpDevice: Cell = (e) => {
  if (e.role !== 'operator' || e.device.state !== 'paired' || e.held.what !== 'device-token') return refuse('device_token_mismatch', true);
  const bound = e.held.bound ?? e.device.approved;
  return asDevice(intersectScopes(SECRET_SCOPES, intersectScopes(e.device.approved, bound)));
};

const unguarded: Cell = (e) => {
  if (e.role === 'node')
    return e.device.state === 'none'
      ? deviceRequired(e)
      : e.device.state === 'paired'
        ? nodePaired(e)
        : e.held.what === 'code'
          ? byCode(e)
          : pend(e);
  return { ...admit('none', closeScopes(e.requested)), warning: 'gateway.auth.mode is none: every process of this user has full control' };
};

/** One cell for all but the first columns. */
const elsewhere = (cell: Cell): Pick<Record<Column, Cell>, 'serve' | 'public' | 'proxied' | 'remote'> => ({
  serve: cell,
  public: cell,
  proxied: cell,
  remote: cell,
});
const everywhere = (cell: Cell): Record<Column, Cell> => ({ socket: owner, local: cell, neighbour: cell, ...elsewhere(cell) });

const TABLE: Readonly<Record<Row, Readonly<Record<Column, Cell>>>> = {
  'nothing presented': everywhere(nothing),
  'nothing of what was presented': everywhere(nothing),
  'secret + new signed device': { socket: owner, local: pairRequested, neighbour: pairReadWrite, ...elsewhere(pend) },
  'secret + paired device': { socket: owner, local: upgradeAtOnce, neighbour: approvedOnly, ...elsewhere(approvedOnly) },
  'device token + its key': everywhere(approvedOnly),
  'device token without its key': everywhere(tokenWithoutKey),
  'secret, no device, no Origin': {
    socket: owner,
    local: secretAloneLocal,
    neighbour: secretAlone,
    ...elsewhere(secretAlone),
    public: deviceRequired,
  },
  'secret, no device, browser': { socket: owner, local: panelWithoutDevice, neighbour: deviceRequired, ...elsewhere(deviceRequired) },
  'tailnet identity + new device': { ...everywhere(never), serve: byTailnet },
  'tailnet identity + paired device': { ...everywhere(never), serve: approvedOnly },
  'proxy identity + new device': { ...everywhere(never), proxied: byProxy },
  'proxy identity + paired device': { ...everywhere(never), proxied: approvedOnly },
  'identity, no device': everywhere(deviceRequired),
  'code + signed device': { ...everywhere(byCode), public: byLinkOnly },
  'code, no device': everywhere(deviceRequired),
  'role node, new': everywhere(pend),
  'role node, paired': everywhere(nodePaired),
  'role node, no device': everywhere(deviceRequired),
  'device changed or removed before': everywhere(pend),
  'HTTP: secret': everywhere(secretOnHttp),
  'HTTP: device token': { ...everywhere(httpDevice), public: () => refuse('device_token_mismatch', true) },
};

// Small parts.

const admit = (as: 'socket' | 'device' | 'secret' | 'none', scopes: readonly Scope[]): Decision & { outcome: 'admit' } => ({
  outcome: 'admit',
  as,
  scopes,
  approve: [],
  file: [],
});

const asDevice = (
  scopes: readonly Scope[],
  effects: { approve?: readonly ApprovedRole[]; file?: readonly Scope[] } = {},
): Decision & { outcome: 'admit' } => ({ ...admit('device', scopes), ...effects });

/** Pairs the device for `allowed`, lets it have what it asked for of that, files the rest. */
const pairWith = (e: Evidence, allowed: readonly Scope[]): Decision =>
  asDevice(intersectScopes(e.requested, allowed), { approve: [{ role: e.role, scopes: allowed }], file: beyond(e.requested, allowed) });

const beyond = (requested: readonly Scope[], approved: readonly Scope[]): Scope[] => {
  const held = new Set(closeScopes(approved));
  return requested.filter((scope) => !held.has(scope));
};

const union = (a: readonly Scope[], b: readonly Scope[]): Scope[] => [...new Set([...a, ...b])].sort();
