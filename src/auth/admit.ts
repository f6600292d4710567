import type { Clock } from '../lib/clock.ts';
import { messageOf, UserError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { CloseCode } from '../protocol/close.ts';
import type { ConnectParams, HelloAuth } from '../protocol/connect.ts';
import type { WireError } from '../protocol/errors.ts';
import { ROLES, type Role, type Scope } from '../protocol/scopes.ts';
import type { Protocol } from '../protocol/version.ts';
import type { Approvals, Settled } from './approvals.ts';
import { AUDIT, type AuditTrail, printable } from './audit.ts';
import { type Decision, decide, type Evidence } from './decide.ts';
import { DEVICE_LIMITS } from './device-limits.ts';
import { type ProvenDevice, proveDevice } from './device-proof.ts';
import { type IssuedToken, isDue, isNoteDue } from './device-tokens.ts';
import type { ConnectionFacts } from './facts.ts';
import { deviceDetails, type Gathered, gatherHttp, gatherWs, guesserOf } from './gather.ts';
import { type Ingress, ingressOf } from './ingress.ts';
import type { PolicyHolder } from './policy.ts';
import type { DeviceStore, PairingReason, PendingRecord, Whois } from './ports.ts';
import type { CredentialClass, Principal } from './principal.ts';
import type { AuthLimiter } from './rate-limit.ts';
import { type Asker, pendingRefusal, proofRefusal, type Reason, refusalOf, type WireRefusal } from './reasons.ts';

export type { Principal } from './principal.ts';

/** What a WebSocket client says in `connect`, with the nonce it was challenged with. */
export interface WsPresented {
  readonly transport: 'ws';
  readonly protocol: Protocol;
  readonly connect: ConnectParams;
  /** The nonce of this connection's `connect.challenge`. */
  readonly nonce: string;
}

/** `Authorization: Bearer <bearer>`; undefined when there is none (or it is of another scheme). */
export interface HttpPresented {
  readonly transport: 'http';
  readonly bearer: string | undefined;
}
export type Presented = WsPresented | HttpPresented;

/** A device token for `hello-ok.auth`: the only time its text exists outside the client. */
export interface Handout {
  readonly deviceToken: string;
  readonly role: Role;
  /** Sorted. */
  readonly scopes: readonly Scope[];
  readonly issuedAtMs: number;
}

export interface Admitted {
  readonly ok: true;
  readonly principal: Principal;
  readonly via: Ingress;
  readonly method: NonNullable<HelloAuth['method']>;
  /** The scopes to name in `hello-ok`: as asked where all was granted, else what was granted. */
  readonly announced: readonly Scope[];
  readonly handout: Handout | undefined;
  /** Tokens for the other roles of a pairing code. */
  readonly furtherHandouts: readonly Handout[];
  /** More was asked for than is approved; a request for the rest waits under this id. */
  readonly upgradeRequestId: string | undefined;
  /** For the log: what was let through only because the config says so. */
  readonly warnings: readonly string[];
}

export interface Refused {
  readonly ok: false;
  readonly via: Ingress;
  /** For `res.error`, in the shape of the negotiated protocol. */
  readonly error: WireError;
  readonly close: { readonly code: CloseCode; readonly reason: string };
  readonly http: { readonly status: 401 | 403 | 421 | 429; readonly retryAfterS?: number };
}
export type Admission = Admitted | Refused;

export interface DoorPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly policy: PolicyHolder;
  readonly devices: DeviceStore;
  readonly approvals: Approvals;
  readonly limiter: AuthLimiter;
  readonly audit: AuditTrail;
  readonly whois?: Whois | undefined;
}

/** A device that changes under our hands (its other connections pair it at this moment) is judged anew this often. */
const JUDGEMENTS = 10;
/** When too many requests wait, room comes as they expire. */
const FULL_WAIT_MS = 60_000;

/**
 * THE DOOR, for WebSocket and HTTP alike: gathers the evidence, lets the table decide, carries out what it says. Whatever is presented
 * gives an admission or a refusal; it rejects only when the store fails. What it grants is durable when it resolves.
 *
 * A caller that keeps the connection must ask `stillStands` once more when it has listed it, in the same tick: what is revoked in
 * between would otherwise be missed.
 */
export async function admit(facts: ConnectionFacts, presented: Presented, ports: DoorPorts): Promise<Admission> {
  const ingress = ingressOf(facts);
  const visit: Visit = { facts, ingress, presented, ports, asker: presented.transport === 'ws' ? presented : undefined };
  const admission = await judge(visit);
  record(visit, admission);
  return admission;
}

/** Whether a principal may still be here. Synchronous; reads what is committed. */
export function stillStands(principal: Principal, ports: Pick<DoorPorts, 'policy' | 'devices' | 'clock'>): boolean {
  if (!ports.policy.stands(principal.credential)) return false;
  if (principal.deviceId === undefined) return true;
  const device = ports.devices.device(principal.deviceId);
  if (device === undefined || device.removedAtMs !== undefined || !device.roles.some(({ role }) => role === principal.role)) return false;
  if (principal.credential.class !== 'device-token') return true;
  return ports.devices
    .tokens(principal.deviceId)
    .some(({ id, expiresAtMs }) => id === principal.credential.id && expiresAtMs > ports.clock.now());
}

/**
 * `hello-ok.auth` in the shape of the protocol. 3.x clients get it only with a token; v4 ones always.
 */
export function helloAuth(admitted: Admitted, protocol: Protocol): HelloAuth | undefined {
  const { handout, principal, method, announced, furtherHandouts } = admitted;
  const issued = handout === undefined ? {} : { deviceToken: handout.deviceToken, issuedAtMs: handout.issuedAtMs };
  if (protocol === 3) return handout === undefined ? undefined : { role: principal.role, scopes: [...announced].sort(), ...issued };
  const further = furtherHandouts.length === 0 ? {} : { deviceTokens: furtherHandouts };
  return { method, role: principal.role, scopes: announced, ...issued, ...further };
}

/** One knock. */
interface Visit {
  readonly facts: ConnectionFacts;
  readonly ingress: Ingress;
  readonly presented: Presented;
  readonly ports: DoorPorts;
  readonly asker: Asker | undefined;
}

async function judge(visit: Visit): Promise<Admission> {
  const { facts, ingress, presented, ports } = visit;
  if (facts.host === 'unknown' && ingress.kind !== 'socket') return turnAway(visit, 'unauthorized', { status: 421 });
  const page = pageVerdict(visit);
  // Before any credential is looked at.
  if (page !== 'fine') return turnAway(visit, page === 'foreign' ? 'origin_foreign' : 'origin_invalid');

  if (presented.transport === 'http') {
    const gathered = gatherHttp(facts, ingress, presented.bearer, { ...ports, policy: ports.policy.current() });
    return (await carryOut(visit, gathered, decide(ingress, gathered.evidence), undefined)) ?? turnAway(visit, 'busy');
  }

  const { connect } = presented;
  const role = ROLES.find((known) => known === (connect.role ?? 'operator'));
  if (role === undefined)
    return refusedWith(visit, {
      error: { code: 'INVALID_REQUEST', message: 'invalid role' },
      close: { code: 1008, reason: 'invalid role' },
    });
  let proven: ProvenDevice | undefined;
  if (connect.device !== undefined && (ingress.kind !== 'socket' || role === 'node')) {
    const proof = proveDevice(connect, presented.nonce, ports.clock.now());
    // Nothing is compared for somebody whose proof fails, so the answer says nothing about a secret.
    if (!proof.ok) return refusedWith(visit, proofRefusal(proof.error));
    proven = proof.value;
  }
  for (let round = 0; round < JUDGEMENTS; round++) {
    const gathered = await gatherWs(facts, ingress, connect, role, proven, { ...ports, policy: ports.policy.current() });
    const admission = await carryOut(visit, gathered, decide(ingress, gathered.evidence), proven);
    if (admission !== undefined) return admission;
  }
  return turnAway(visit, 'busy');
}

/** The verdict on the page that talks; the panel's own id without any Origin is a page that hides it. */
function pageVerdict({ facts, ingress, presented }: Visit): Evidence['origin'] {
  if (facts.origin === 'foreign' || facts.origin === 'invalid') return facts.origin;
  const isPanel = presented.transport === 'ws' && presented.connect.client.id === 'openclaw-control-ui';
  return isPanel && facts.origin === 'absent' && ingress.kind !== 'socket' ? 'invalid' : 'fine';
}

/** Undefined: the device changed since it was judged. */
async function carryOut(
  visit: Visit,
  gathered: Gathered,
  decision: Decision,
  proven: ProvenDevice | undefined,
): Promise<Admission | undefined> {
  if (decision.outcome !== 'refuse' || !decision.isCounted) noteBeside(visit, gathered);
  switch (decision.outcome) {
    case 'refuse':
      if (decision.isCounted) await count(visit, gathered);
      return turnAway(visit, decision.why, { waitMs: gathered.waitMs });
    case 'pend':
      return proven === undefined ? turnAway(visit, 'device_required') : pend(visit, gathered, decision, proven);
    case 'admit':
      return letIn(visit, gathered, decision, proven);
  }
}

/** Counts the wrong guesses, and holds the answer back where the caller is slowed. */
async function count({ facts, ingress, ports }: Visit, { wrong }: Gathered): Promise<void> {
  const isPassword = ports.policy.current().secret?.kind === 'password';
  let holdMs = 0;
  for (const guessed of wrong)
    holdMs = Math.max(holdMs, ports.limiter.wrong(guessed, guesserOf(facts, ingress), isPassword && guessed === 'shared-secret'));
  if (holdMs > 0) await new Promise<void>((resolve) => ports.clock.after(holdMs, resolve));
}

function noteBeside({ facts, ingress, ports }: Visit, { wrong }: Gathered): void {
  if (ports.policy.current().secret?.kind !== 'password') return;
  for (const guessed of wrong) if (guessed === 'shared-secret') ports.limiter.passwordBeside(guesserOf(facts, ingress));
}

async function pend(
  visit: Visit,
  gathered: Gathered,
  { reason }: Decision & { outcome: 'pend' },
  proven: ProvenDevice,
): Promise<Admission> {
  const { presented } = visit;
  if (presented.transport !== 'ws') return turnAway(visit, 'device_required');
  const request = await file(visit, presented, gathered, proven, reason);
  if (request === undefined) return turnAway(visit, 'rate_limited', { waitMs: FULL_WAIT_MS });
  const previous = visit.ports.approvals.lastEnding(request.deviceId, request.role);
  return refusedWith(visit, pendingRefusal({ ...request, approved: gathered.record?.roles, previous }, presented), { status: 403 });
}

const file = (
  { ingress, ports }: Visit,
  { connect }: WsPresented,
  { evidence }: Gathered,
  device: ProvenDevice,
  reason: PairingReason,
): Promise<PendingRecord | undefined> =>
  ports.approvals.file({
    device,
    details: deviceDetails(connect),
    role: evidence.role,
    requested: evidence.role === 'node' ? [] : evidence.requested,
    reason,
    source: ingress.key,
    address: ingress.address,
    login: loginOf(evidence),
  });

const loginOf = ({ held }: Evidence): string | undefined =>
  held.what === 'tailnet-identity' ? held.login : held.what === 'proxy-identity' ? held.user : undefined;

async function letIn(
  visit: Visit,
  gathered: Gathered,
  decision: Decision & { outcome: 'admit' },
  proven: ProvenDevice | undefined,
): Promise<Admission | undefined> {
  const { ports, presented } = visit;
  const { evidence, token } = gathered;
  const isDevice = decision.as === 'device';
  let settled: Settled | 'full' | undefined = { token: undefined, further: [] };
  let upgrade: PendingRecord | undefined;
  if (isDevice && proven !== undefined && presented.transport === 'ws') {
    const handout = token === undefined ? wantsToken(visit, decision) : isDue(ports.devices, token, ports.clock.now());
    if (decision.approve.length > 0) settled = await settle(visit, presented, gathered, decision, proven, handout);
    else if (handout) settled = await settle(visit, presented, gathered, decision, proven, true).catch(withoutToken);
    else if (token !== undefined) note(visit, gathered);
    if (settled === undefined) return undefined;
    if (settled === 'full') return turnAway(visit, 'too_many_devices', { status: 403 });
    if (settled.forgot !== undefined)
      ports.audit.event({ event: 'device-forgotten', deviceId: settled.forgot, detail: `${DEVICE_LIMITS.perLetIn} came in like it` });
    if (decision.approve.length > 0) recordPairing(visit, decision, proven);
    if (decision.file.length > 0) upgrade = await file(visit, presented, gathered, proven, 'scope-upgrade');
  } else if (token !== undefined) note(visit, gathered);

  const credential = credentialOf(evidence, decision);
  const deviceId = isDevice ? (proven?.deviceId ?? gathered.record?.deviceId) : undefined;
  const scopes = evidence.role === 'node' ? [] : decision.scopes;
  const principal: Principal = {
    id: deviceId === undefined ? (decision.as === 'secret' ? `secret:${visit.ingress.key}` : decision.as) : `device:${deviceId}`,
    kind: decision.as,
    role: evidence.role,
    scopes,
    ...(deviceId === undefined ? {} : { deviceId }),
    credential: {
      class: credential,
      ...(credential === 'device-token' && token !== undefined ? { id: token.id } : {}),
      generation: ports.policy.generation(credential),
    },
    ingress: visit.ingress.kind,
    label: labelOf(visit, deviceId, gathered),
  };
  const granted = new Set(scopes);
  const isCut = evidence.requested.some((scope) => !granted.has(scope));
  const asked = presented.transport === 'ws' ? (presented.connect.scopes ?? []) : [];
  const asGranted = decision.as === 'socket' || presented.transport === 'http' || isCut;
  const announced = asGranted ? scopes : asked.filter((scope): scope is Scope => granted.has(scope as Scope));
  const handoutOf = ({ text, record }: IssuedToken, of: readonly Scope[]): Handout => ({
    deviceToken: text,
    role: record.role,
    scopes: [...of].sort(),
    issuedAtMs: record.createdAtMs,
  });
  return {
    ok: true,
    principal,
    via: visit.ingress,
    method: METHODS[credential] ?? ports.policy.current().secret?.kind ?? 'token',
    announced,
    handout: settled.token === undefined ? undefined : handoutOf(settled.token, announced),
    furtherHandouts: settled.further.map((one) =>
      handoutOf(one, decision.approve.find(({ role }) => role === one.record.role)?.scopes ?? []),
    ),
    upgradeRequestId: upgrade?.requestId,
    warnings: decision.warning === undefined ? [] : [decision.warning],
  };
}

function recordPairing({ ports, ingress }: Visit, { approve }: Decision & { outcome: 'admit' }, { deviceId }: ProvenDevice): void {
  const detail = approve.map(({ role, scopes }) => `${role}: ${scopes.join(' ') || 'no scopes'}`).join('; ');
  ports.audit.event({ event: 'paired', deviceId, ingress: ingress.kind, address: ingress.address, detail });
}

/** A known device gets in also where nothing can be written: it goes without a new token, and a full disk can be looked at from afar. */
const withoutToken = (thrown: unknown): Settled => {
  if (thrown instanceof UserError && thrown.code.startsWith('STORE_')) return { token: undefined, further: [] };
  throw thrown;
};

/** 3.x operators without scopes never got a token; all others who come without one do. */
const wantsToken = ({ presented }: Visit, decision: Decision & { outcome: 'admit' }): boolean =>
  presented.transport === 'ws' && (presented.protocol === 4 || decision.scopes.length > 0 || presented.connect.role === 'node');

const settle = (
  { ports, ingress }: Visit,
  { connect }: WsPresented,
  { evidence, code, token, record: seen }: Gathered,
  decision: Decision & { outcome: 'admit' },
  device: ProvenDevice,
  handout: boolean,
): Promise<Settled | 'full' | undefined> => {
  const login = loginOf(evidence);
  return ports.approvals.settle({
    device,
    details: deviceDetails(connect),
    role: evidence.role,
    approve: decision.approve,
    letInBy: `${credentialOf(evidence, decision)} ${ingress.key}`,
    approvedVia: code !== undefined ? `code by ${code.createdBy}` : login !== undefined ? `login:${login}` : ingress.kind,
    address: ingress.address,
    handout,
    token,
    codeId: code?.id,
    seen,
  });
};

function note({ ports }: Visit, { token }: Gathered): void {
  if (token === undefined || !isNoteDue(token, ports.clock.now())) return;
  ports.approvals
    .noteUse(token)
    .catch((thrown: unknown) => ports.log.warn('the use of a device token could not be noted', { cause: messageOf(thrown) }));
}

function credentialOf({ held }: Evidence, { as }: Decision & { outcome: 'admit' }): CredentialClass {
  if (as === 'socket' || as === 'none') return as;
  switch (held.what) {
    case 'device-token':
      return 'device-token';
    case 'code':
      return 'pairing-code';
    case 'tailnet-identity':
    case 'proxy-identity':
      return held.what;
    case 'secret':
      return 'shared-secret';
    case 'nothing':
    case 'device-token-without-key':
      // A paired node on the admin socket, or where nothing is guarded.
      return 'none';
  }
}

const METHODS: Readonly<Partial<Record<CredentialClass, NonNullable<HelloAuth['method']>>>> = {
  socket: 'local-socket',
  none: 'none',
  'device-token': 'device-token',
  'pairing-code': 'bootstrap-token',
  'tailnet-identity': 'tailscale',
  'proxy-identity': 'trusted-proxy',
};

function labelOf({ presented, ingress }: Visit, deviceId: string | undefined, { record: known }: Gathered): string {
  if (ingress.kind === 'socket') return 'this machine';
  const name =
    (presented.transport === 'ws' ? (presented.connect.client.displayName ?? presented.connect.client.id) : undefined) ??
    known?.displayName ??
    'HTTP client';
  return printable(deviceId === undefined ? `${name} from ${ingress.address}` : `${name} (device ${deviceId.slice(0, 8)})`, 120);
}

interface Extra {
  readonly status?: Refused['http']['status'];
  readonly waitMs?: number;
}

const turnAway = (visit: Visit, why: Reason, extra: Extra = {}): Refused => {
  const isLimited = why === 'rate_limited';
  const status = extra.status ?? (isLimited ? 429 : why.startsWith('origin') ? 403 : 401);
  const waitMs = isLimited ? extra.waitMs : undefined;
  return refusedWith(visit, refusalOf(why, visit.asker, waitMs), { status, ...(waitMs === undefined ? {} : { waitMs }) });
};

const refusedWith = ({ ingress }: Visit, refusal: WireRefusal, { status = 403, waitMs }: Extra = {}): Refused => ({
  ok: false,
  via: ingress,
  ...refusal,
  http: waitMs === undefined ? { status } : { status, retryAfterS: Math.max(1, Math.ceil(waitMs / 1000)) },
});

/** One line for the audit log, counted with those alike. The owner on the admin socket is no news. */
function record({ presented, ingress, ports }: Visit, admission: Admission): void {
  const client = presented.transport === 'ws' ? `${presented.connect.client.id}/${presented.connect.client.mode}` : 'http';
  const base = { ingress: ingress.kind, address: ingress.address, client };
  if (!admission.ok) {
    const code = admission.error.details?.['code'];
    ports.audit.counted({ ...base, event: 'refused', ...(typeof code === 'string' ? { code } : {}) }, AUDIT.refusedWindowMs);
  } else if (admission.principal.kind !== 'socket') {
    const { id, deviceId, credential } = admission.principal;
    const device = deviceId === undefined ? {} : { deviceId };
    ports.audit.counted({ ...base, ...device, event: 'admitted', actor: id, code: credential.class }, AUDIT.admittedWindowMs);
  }
}
