import type { Clock } from '../lib/clock.ts';
import { type Refusal, refuse } from '../protocol/errors.ts';
import { closeScopes, isScope, knownScopes, type Role, type Scope } from '../protocol/scopes.ts';
import type { DeviceStanding } from './decide.ts';
import { DEVICE_LIMITS, dispensable, isFull, isUnused } from './device-limits.ts';
import type { ProvenDevice } from './device-proof.ts';
import { type IssuedToken, issueToken, noteUse } from './device-tokens.ts';
import { type IssuedCode, issueCode } from './pairing-codes.ts';
import type { ApprovedRole, DeviceRecord, DeviceStore, DeviceWrites, PairingReason, PendingRecord, TokenRecord } from './ports.ts';
import type { Principal } from './principal.ts';
import { newId } from './secret.ts';

export const PENDING = {
  /** A request lives this long after it was last repeated, ms … */
  slidingMs: 5 * 60_000,
  /** … and never longer than this. */
  maxMs: 10 * 60_000,
  perSource: 10,
  total: 100,
  /** What a device shows is taken anew, told and written at most this often, ms. */
  changeMs: 60_000,
} as const;

/** What the rest of the gateway has to know. */
export type PairingEvent =
  | { readonly kind: 'requested'; readonly request: PendingRecord }
  | {
      readonly kind: 'resolved';
      readonly requestId: string;
      readonly deviceId: string;
      readonly decision: 'approved' | 'rejected';
      readonly ts: number;
    }
  /** Live connections of this device (with this role, on this token) have to close: the one that asked for it after its answer, all others at once. */
  | {
      readonly kind: 'revoked';
      readonly deviceId: string;
      readonly role?: Role;
      readonly credentialId?: string;
      readonly reason: string;
      readonly by?: Asking | undefined;
    };

/** The connection whose request this is. */
export interface Asking {
  readonly connId: string;
  /** Runs `task` when the request was answered. */
  afterAnswer(task: () => void): void;
}

/** What a device says of itself; none of it is authority. */
export interface DeviceDetails {
  readonly displayName: string | undefined;
  readonly platform: string;
  readonly deviceFamily: string | undefined;
  readonly clientId: string;
  readonly clientMode: string;
}

/** What a connect asks to be written, all of it or nothing. */
export interface Settlement {
  readonly device: ProvenDevice;
  readonly details: DeviceDetails;
  readonly role: Role;
  readonly approve: readonly ApprovedRole[];
  readonly approvedVia: string;
  /** Counts it among those that came in alike; see `DeviceRecord`. */
  readonly letInBy: string;
  readonly address: string;
  /** Hand out a token for the role (with a code: for its other roles too). */
  readonly handout: boolean;
  readonly token: TokenRecord | undefined;
  readonly codeId: string | undefined;
  /** The record that was judged: when it is another by now, nothing is written. */
  readonly seen: DeviceRecord | undefined;
}

export interface Settled {
  readonly token: IssuedToken | undefined;
  readonly further: readonly IssuedToken[];
  /** The device that was forgotten to make room. */
  readonly forgot?: string | undefined;
}

/** What a rotation answers, in the words of the wire. */
export interface Rotated {
  readonly deviceId: string;
  readonly role: Role;
  readonly scopes: readonly Scope[];
  readonly rotatedAtMs: number;
  /** Only with `in-band`. */
  readonly token?: string;
  readonly tokenDelivery: 'in-band' | 'withheld-cross-device';
}

/** A request for a person. */
export interface Filing {
  readonly device: ProvenDevice;
  readonly details: DeviceDetails;
  readonly role: Role;
  readonly requested: readonly Scope[];
  readonly reason: PairingReason;
  /** Limiter key and text of the address it came from. */
  readonly source: string;
  readonly address: string;
  readonly login: string | undefined;
}

/** A request that ended, and not with an approval. */
export type UnapprovedEnding = 'rejected' | 'expired';

/** Pairing: who waits, who is approved, which tokens they hold. Every answer is durable before it is given. */
export class Approvals {
  readonly #store: DeviceStore;
  readonly #clock: Clock;
  readonly #listeners = new Set<(event: PairingEvent) => void>();
  /** How a device's last request for a role ended without a yes: what the next one is told. For people, so a restart may forget it. */
  readonly #endings = new Map<string, { ending: UnapprovedEnding; atMs: number }>();

  readonly #connected: () => ReadonlySet<string>;
  /** Devices about to be forgotten: two that come at once make room for themselves by two. */
  readonly #leaving = new Set<string>();

  /** `connected`: devices with an open connection, which nobody forgets. */
  constructor(store: DeviceStore, clock: Clock, connected: () => ReadonlySet<string> = () => new Set()) {
    this.#store = store;
    this.#clock = clock;
    this.#connected = connected;
  }

  onEvent(listener: (event: PairingEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** How a proven key stands for a role. `record` is what it was judged by. */
  standing(
    deviceId: string,
    role: Role,
    details: Pick<DeviceDetails, 'platform' | 'deviceFamily'>,
  ): { standing: DeviceStanding; record: DeviceRecord | undefined } {
    const record = this.#store.device(deviceId);
    if (record === undefined) return { record, standing: { state: 'new', hasOtherRole: false } };
    if (record.removedAtMs !== undefined) return { record, standing: { state: 'returning', reason: 'not-paired' } };
    if (hasChanged(record, details)) return { record, standing: { state: 'returning', reason: 'metadata-upgrade' } };
    const approved = record.roles.find((one) => one.role === role);
    if (approved === undefined) return { record, standing: { state: 'new', hasOtherRole: true } };
    return { record, standing: { state: 'paired', approved: approved.scopes } };
  }

  /** Carries out what a decision grants. Undefined when the device changed meanwhile: the caller judges again. `full`: too many are paired. */
  async settle(s: Settlement): Promise<Settled | 'full' | undefined> {
    const now = this.#clock.now();
    const { deviceId } = s.device;
    const isNew = s.approve.length > 0 && !isPaired(s.seen);
    // Before anything is written: a flood of new keys must cost no more than looking.
    const forgot = isNew && isFull(this.#store, s.letInBy) ? this.#dispensable(s.letInBy, now) : undefined;
    if (forgot === undefined && isNew && isFull(this.#store, s.letInBy)) return 'full';
    if (forgot !== undefined) this.#leaving.add(forgot);
    const settled = await this.#store
      .write((tx): Settled | undefined => {
        const current = tx.device(deviceId);
        if (JSON.stringify(current) !== JSON.stringify(s.seen)) return undefined;
        if (s.token !== undefined && !tx.tokens(deviceId).some(({ id }) => id === s.token?.id)) return undefined;
        if (isNew && !makeRoom(tx, s.letInBy, forgot, now)) return undefined;
        if (s.codeId !== undefined && !bindCode(tx, s.codeId, deviceId, now)) return undefined;
        if (s.approve.length > 0) {
          tx.putDevice(approvedRecord(current, s, now));
          for (const { role } of s.approve) dropPending(tx, deviceId, role);
        }
        const further = s.codeId === undefined ? [] : s.approve.filter(({ role }) => role !== s.role);
        const token = s.handout ? issueToken(tx, now, { deviceId, role: s.role, replaces: s.token }) : undefined;
        if (s.token !== undefined) noteUse(tx, s.token.id, deviceId, now);
        return { token, further: further.map(({ role }) => issueToken(tx, now, { deviceId, role })), forgot };
      })
      .finally(() => forgot !== undefined && this.#leaving.delete(forgot));
    if (settled?.forgot !== undefined) this.#tell([{ kind: 'revoked', deviceId: settled.forgot, reason: 'device forgotten' }]);
    return settled;
  }

  #dispensable(letInBy: string | undefined, now: number): string | undefined {
    const connected = this.#connected();
    const isInUse = (deviceId: string): boolean => connected.has(deviceId) || this.#leaving.has(deviceId);
    return dispensable(this.#store.paired(), letInBy, now, isInUse)?.device.deviceId;
  }

  /**
   * Files a request that a person has to approve. The same request again keeps its id; one that shows something else takes its place, but at
   * most once a minute: until then the earlier one waits as it was shown, and is the answer. Undefined when too many wait.
   */
  async file(filing: Filing): Promise<PendingRecord | undefined> {
    const now = this.#clock.now();
    // Looked at before anything is written: whoever waits asks every second or two, and what is refused comes as often as it likes.
    const live = this.pending();
    const own = live.find((one) => isOfSameDevice(one, filing));
    if (own !== undefined && isSettledFor(own, filing, now)) return own;
    if (own === undefined && isCrowded(live, filing.source)) return undefined;
    const events: PairingEvent[] = [];
    const expired: PendingRecord[] = [];
    const filed = await this.#store.write((tx) => filePending(tx, filing, now, events, expired));
    for (const { deviceId, role } of expired) this.#noteEnding(deviceId, role, 'expired', now);
    this.#tell(events);
    return filed;
  }

  /** How this device's request before ended, when nobody said yes to it lately. */
  lastEnding(deviceId: string, role: Role): UnapprovedEnding | undefined {
    const found = this.#endings.get(`${deviceId} ${role}`);
    return found !== undefined && this.#clock.now() - found.atMs < PENDING.maxMs ? found.ending : undefined;
  }

  #noteEnding(deviceId: string, role: Role, ending: UnapprovedEnding, atMs: number): void {
    const key = `${deviceId} ${role}`;
    this.#endings.delete(key);
    this.#endings.set(key, { ending, atMs });
    if (this.#endings.size > PENDING.total) this.#endings.delete(this.#endings.keys().next().value ?? '');
  }

  /** Writes down that a token was used; its caller need not wait. */
  async noteUse(token: TokenRecord): Promise<void> {
    const now = this.#clock.now();
    await this.#store.write((tx) => noteUse(tx, token.id, token.deviceId, now));
  }

  pending(): readonly PendingRecord[] {
    const now = this.#clock.now();
    return this.#store.pending().filter(({ expiresAtMs }) => expiresAtMs > now);
  }

  /** Approves a request; without an id, the only one that waits. The approver must hold all it hands out. */
  async approve(requestId: string | undefined, approver: Principal): Promise<{ requestId: string; device: DeviceRecord } | Refusal> {
    const now = this.#clock.now();
    const events: PairingEvent[] = [];
    const answer = await this.#store.write((tx) => {
      const gone = revoked(tx, approver);
      if (gone !== undefined) return gone;
      const waiting = tx.pending().filter(({ expiresAtMs }) => expiresAtMs > now);
      if (requestId === undefined && waiting.length > 1) {
        return refuse('INVALID_REQUEST', `${waiting.length} devices wait; say which one`, {
          details: { code: 'PAIRING_AMBIGUOUS', requestIds: waiting.map((one) => one.requestId) },
        });
      }
      const request = requestId === undefined ? waiting[0] : waiting.find((one) => one.requestId === requestId);
      if (request === undefined)
        return refuse('INVALID_REQUEST', requestId === undefined ? 'no device waits for approval' : 'unknown requestId');
      const current = tx.device(request.deviceId);
      // A device whose details changed is locked out whole: saying yes to it gives back what it had, too.
      const returned = request.reason === 'metadata-upgrade' && current?.removedAtMs === undefined ? (current?.roles ?? []) : [];
      const missing = missingScope(approver, [...request.scopes, ...returned.flatMap(({ scopes }) => scopes)]);
      if (missing !== undefined) return missing;
      if (!isPaired(current) && tx.countDevices() >= DEVICE_LIMITS.total)
        return refuse(
          'UNAVAILABLE',
          `${DEVICE_LIMITS.total} devices are paired, and there is room for no more: openclaw devices remove <id>`,
          {
            details: { code: 'DEVICE_LIMIT', limit: DEVICE_LIMITS.total },
          },
        );
      const device = approvedRecord(
        current,
        {
          ...request,
          letInBy: undefined,
          device: request,
          details: detailsOf(request),
          address: request.remoteIp ?? '',
          approve: [{ role: request.role, scopes: request.scopes }],
          approvedVia: approver.id,
        },
        now,
      );
      tx.putDevice(device);
      dropPending(tx, request.deviceId, request.role);
      events.push({ kind: 'resolved', requestId: request.requestId, deviceId: request.deviceId, decision: 'approved', ts: now });
      return { requestId: request.requestId, device };
    });
    if ('device' in answer) for (const role of answer.device.roles) this.#endings.delete(`${answer.device.deviceId} ${role.role}`);
    this.#tell(events);
    return answer;
  }

  async reject(requestId: string): Promise<{ requestId: string; deviceId: string } | Refusal> {
    const now = this.#clock.now();
    const request = await this.#store.write((tx) => {
      const found = tx.pending().find((one) => one.requestId === requestId && one.expiresAtMs > now);
      if (found !== undefined) tx.dropPending(requestId);
      return found;
    });
    if (request === undefined) return refuse('INVALID_REQUEST', 'unknown requestId');
    this.#noteEnding(request.deviceId, request.role, 'rejected', now);
    this.#tell([{ kind: 'resolved', requestId, deviceId: request.deviceId, decision: 'rejected', ts: now }]);
    return { requestId, deviceId: request.deviceId };
  }

  /** Forgets a device; its connections close, its tokens die, and coming back needs an approval. Taking away asks for nothing but `operator.pairing`. */
  async remove(deviceId: string, by?: Asking): Promise<{ deviceId: string } | Refusal> {
    const now = this.#clock.now();
    const answer = await this.#store.write((tx) => {
      const device = tx.device(deviceId);
      if (device === undefined || device.removedAtMs !== undefined) return refuse('INVALID_REQUEST', 'unknown deviceId');
      tx.putDevice({ ...device, roles: [], removedAtMs: now });
      tx.trimTombstones(DEVICE_LIMITS.tombstones);
      for (const token of tx.tokens(deviceId)) tx.dropToken(token.id);
      for (const request of tx.pending()) if (request.deviceId === deviceId) tx.dropPending(request.requestId);
      for (const code of tx.codes()) if (code.boundTo === deviceId) tx.dropCode(code.id);
      return { deviceId };
    });
    if ('deviceId' in answer) this.#tell([{ kind: 'revoked', deviceId, reason: 'device removed', by }]);
    return answer;
  }

  /**
   * Ends all tokens of a device's role. The caller must hold what it ends, and what it hands out: else a narrow rotation would be a way to throw
   * out who holds more. The new token's text goes to the device itself or to the owner on the admin socket; for anybody else none is made, and the
   * device gets its next one when it comes back with another credential.
   */
  async rotate(
    deviceId: string,
    role: string,
    scopes: readonly string[] | undefined,
    actor: Principal,
    by?: Asking,
  ): Promise<Rotated | Refusal> {
    const now = this.#clock.now();
    const answer = await this.#store.write((tx): Rotated | Refusal => {
      const gone = revoked(tx, actor);
      if (gone !== undefined) return gone;
      const approved = roleOf(tx, deviceId, role);
      if (approved === undefined) return refuse('INVALID_REQUEST', 'unknown deviceId/role');
      const bound = scopes === undefined ? undefined : knownScopes(scopes);
      const beyond = bound?.find((scope) => !closeScopes(approved.scopes).includes(scope));
      if (beyond !== undefined) return refuse('INVALID_REQUEST', `scope not approved for this device: ${beyond}`);
      const isOwn = actor.deviceId === deviceId;
      const missing = missingScope(actor, isOwn ? (bound ?? approved.scopes) : approved.scopes);
      if (missing !== undefined) return missing;
      for (const token of tx.tokens(deviceId)) if (token.role === approved.role) tx.dropToken(token.id);
      const done = { deviceId, role: approved.role, scopes: [...(bound ?? approved.scopes)].sort(), rotatedAtMs: now };
      if (!isOwn && actor.kind !== 'socket') return { ...done, tokenDelivery: 'withheld-cross-device' };
      return { ...done, token: issueToken(tx, now, { deviceId, role: approved.role, bound }).text, tokenDelivery: 'in-band' };
    });
    if ('rotatedAtMs' in answer) this.#tell([{ kind: 'revoked', deviceId, role: answer.role, reason: 'device token rotated', by }]);
    return answer;
  }

  async revoke(
    deviceId: string,
    role: string,
    actor: Principal,
    by?: Asking,
  ): Promise<{ deviceId: string; role: Role; revokedAtMs: number } | Refusal> {
    const now = this.#clock.now();
    const answer = await this.#store.write((tx) => {
      const gone = revoked(tx, actor);
      if (gone !== undefined) return gone;
      const approved = roleOf(tx, deviceId, role);
      if (approved === undefined) return refuse('INVALID_REQUEST', 'unknown deviceId/role');
      const missing = actor.deviceId === deviceId ? undefined : missingScope(actor, approved.scopes);
      if (missing !== undefined) return missing;
      for (const token of tx.tokens(deviceId)) if (token.role === approved.role) tx.dropToken(token.id);
      return { deviceId, role: approved.role, revokedAtMs: now };
    });
    if ('revokedAtMs' in answer) this.#tell([{ kind: 'revoked', deviceId, role: answer.role, reason: 'device token revoked', by }]);
    return answer;
  }

  /** Makes a pairing link or code. Its maker must hold what it hands out. */
  async issueCode(
    options: { kind: 'link' | 'short'; roles: readonly ApprovedRole[]; ttlMs?: number },
    actor: Principal,
  ): Promise<IssuedCode | Refusal> {
    const missing = missingScope(
      actor,
      options.roles.flatMap(({ scopes }) => scopes),
    );
    if (missing !== undefined) return missing;
    const now = this.#clock.now();
    const issued = await this.#store.write((tx) => issueCode(tx, now, { ...options, createdBy: actor.id }));
    return issued ?? refuse('UNAVAILABLE', 'too many pairing codes wait to be used; wait until one expires', { retryable: true });
  }

  /** Takes over devices of an earlier installation, once: only into a store that knows none. How many were taken. */
  async importDevices(records: readonly { device: DeviceRecord; tokens: readonly TokenRecord[] }[]): Promise<number> {
    return this.#store.write((tx) => {
      if (tx.countDevices() > 0) return 0;
      let taken = 0;
      for (const { device, tokens } of records) {
        if (taken === DEVICE_LIMITS.total) break;
        if (tx.device(device.deviceId) !== undefined) continue;
        tx.putDevice(device);
        for (const token of tokens) tx.putToken(token);
        taken++;
      }
      return taken;
    });
  }

  #tell(events: readonly PairingEvent[]): void {
    for (const event of events) for (const listener of this.#listeners) listener(event);
  }
}

const roleOf = (tx: DeviceWrites, deviceId: string, role: string): ApprovedRole | undefined => {
  const device = tx.device(deviceId);
  return device?.removedAtMs === undefined ? device?.roles.find((one) => one.role === role) : undefined;
};

/** What was taken away while a request waited for its turn does nothing more: a second rotation would kill the token that the first one gave. */
function revoked(tx: DeviceWrites, { deviceId, role, credential }: Principal): Refusal | undefined {
  if (deviceId === undefined) return undefined;
  const isGone =
    roleOf(tx, deviceId, role) === undefined ||
    (credential.class === 'device-token' && !tx.tokens(deviceId).some(({ id }) => id === credential.id));
  return isGone ? refuse('INVALID_REQUEST', 'what this connection came in by was revoked', { details: { code: 'REVOKED' } }) : undefined;
}

/** The first scope that would be handed out by somebody who does not hold it. */
function missingScope(actor: Principal, scopes: readonly Scope[]): Refusal | undefined {
  const held = new Set(closeScopes(actor.scopes));
  const missing = scopes.find((scope) => !held.has(scope));
  if (missing === undefined) return undefined;
  return refuse('INVALID_REQUEST', `missing scope: ${missing}`, {
    details: { code: 'MISSING_SCOPE', missingScope: missing, requiredScopes: [...scopes].filter(isScope) },
  });
}

/** Compared without case and marks, as existing servers do. What one side does not name is no change: clients learn to say more. */
const hasChanged = (record: DeviceRecord, details: Pick<DeviceDetails, 'platform' | 'deviceFamily'>): boolean =>
  differ(record.platform, details.platform) || differ(record.deviceFamily, details.deviceFamily);
function differ(a: string | undefined, b: string | undefined): boolean {
  const [before, after] = [fold(a), fold(b)];
  return before !== '' && after !== '' && before !== after;
}
const fold = (text: string | undefined): string => (text ?? '').normalize('NFKD').replace(/\p{M}/gu, '').trim().toLowerCase();

const detailsOf = (request: PendingRecord): DeviceDetails => ({
  displayName: request.displayName,
  platform: request.platform,
  deviceFamily: request.deviceFamily,
  clientId: request.clientId,
  clientMode: request.clientMode,
});

type Approval = Pick<Settlement, 'details' | 'approve' | 'approvedVia' | 'address'> & {
  readonly device: ProvenDevice;
  readonly letInBy: string | undefined;
};

const isPaired = (record: DeviceRecord | undefined): boolean => record !== undefined && record.removedAtMs === undefined;

/** Whether one more device has room, after `forgot` was forgotten where it takes that. False when things are not as they were looked at. */
function makeRoom(tx: DeviceWrites, letInBy: string, forgot: string | undefined, now: number): boolean {
  if (!isFull(tx, letInBy)) return true;
  if (forgot === undefined || !isPaired(tx.device(forgot)) || !isUnused({ tokens: tx.tokens(forgot) }, now)) return false;
  tx.dropDevice(forgot);
  return !isFull(tx, letInBy);
}

/** The record after an approval. A removed device starts anew: nothing it once had comes back with it. */
function approvedRecord(current: DeviceRecord | undefined, approval: Approval, now: number): DeviceRecord {
  const before = current?.removedAtMs === undefined ? current : undefined;
  const roles = new Map((before?.roles ?? []).map((one) => [one.role, one.scopes]));
  for (const { role, scopes } of approval.approve) roles.set(role, [...new Set([...(roles.get(role) ?? []), ...scopes])].sort());
  const { displayName, deviceFamily, ...details } = approval.details;
  const name = displayName ?? before?.displayName;
  const family = deviceFamily ?? before?.deviceFamily;
  // Once a person has said yes to it, it is not counted among those that came by themselves.
  const letInBy = before === undefined ? approval.letInBy : approval.letInBy && before.letInBy;
  return {
    deviceId: approval.device.deviceId,
    publicKey: approval.device.publicKey,
    ...(name === undefined ? {} : { displayName: name }),
    ...details,
    ...(family === undefined ? {} : { deviceFamily: family }),
    ...(approval.address === '' ? {} : { remoteIp: approval.address }),
    approvedVia: approval.approvedVia,
    ...(letInBy === undefined ? {} : { letInBy }),
    roles: [...roles].map(([role, scopes]) => ({ role, scopes })),
    createdAtMs: current?.createdAtMs ?? now,
    approvedAtMs: now,
  };
}

function bindCode(tx: DeviceWrites, codeId: string, deviceId: string, now: number): boolean {
  const code = tx.codes().find(({ id }) => id === codeId);
  if (code === undefined || code.expiresAtMs <= now || (code.boundTo !== undefined && code.boundTo !== deviceId)) return false;
  tx.putCode({ ...code, boundTo: deviceId });
  return true;
}

const dropPending = (tx: DeviceWrites, deviceId: string, role: Role): void => {
  for (const request of tx.pending()) if (request.deviceId === deviceId && request.role === role) tx.dropPending(request.requestId);
};

const isOfSameDevice = (one: PendingRecord, { device, role }: Filing): boolean => one.deviceId === device.deviceId && one.role === role;

const isCrowded = (others: readonly PendingRecord[], source: string): boolean =>
  others.length >= PENDING.total || others.filter((one) => one.source === source).length >= PENDING.perSource;

const renewedExpiry = ({ createdAtMs }: PendingRecord, now: number): number =>
  Math.min(now + PENDING.slidingMs, createdAtMs + PENDING.maxMs);

/** Whether what waits already is the answer, with nothing to write: the same again, or a change that comes too soon after the last. */
function isSettledFor(own: PendingRecord, filing: Filing, now: number): boolean {
  if (isSameRequest(own, filing)) return renewedExpiry(own, now) - own.expiresAtMs < PENDING.changeMs;
  const writtenAt = Math.max(own.createdAtMs, own.expiresAtMs - PENDING.slidingMs);
  return now - writtenAt < PENDING.changeMs;
}

/** Everything a person is shown before saying yes: when any of it differs, it is another request with another id. */
const isSameRequest = (one: PendingRecord, filing: Filing): boolean =>
  one.deviceId === filing.device.deviceId &&
  one.role === filing.role &&
  one.reason === filing.reason &&
  one.login === filing.login &&
  one.displayName === filing.details.displayName &&
  one.platform === filing.details.platform &&
  one.deviceFamily === filing.details.deviceFamily &&
  one.clientId === filing.details.clientId &&
  one.clientMode === filing.details.clientMode &&
  [...one.scopes].sort().join() === [...filing.requested].sort().join();

function filePending(
  tx: DeviceWrites,
  filing: Filing,
  now: number,
  events: PairingEvent[],
  expired: PendingRecord[],
): PendingRecord | undefined {
  const live: PendingRecord[] = [];
  for (const request of tx.pending()) {
    if (request.expiresAtMs <= now) {
      tx.dropPending(request.requestId);
      expired.push(request);
    } else live.push(request);
  }
  const own = live.find((one) => isOfSameDevice(one, filing));
  // Another of its connections came first.
  if (own !== undefined && isSettledFor(own, filing, now)) return own;
  if (own !== undefined && isSameRequest(own, filing)) {
    const renewed = { ...own, expiresAtMs: renewedExpiry(own, now) };
    tx.putPending(renewed);
    return renewed;
  }
  if (own !== undefined) tx.dropPending(own.requestId);
  else if (isCrowded(live, filing.source)) return undefined;
  const { displayName, deviceFamily, ...details } = filing.details;
  const request: PendingRecord = {
    requestId: newId(),
    deviceId: filing.device.deviceId,
    publicKey: filing.device.publicKey,
    ...(displayName === undefined ? {} : { displayName }),
    ...details,
    ...(deviceFamily === undefined ? {} : { deviceFamily }),
    role: filing.role,
    scopes: filing.requested,
    reason: filing.reason,
    remoteIp: filing.address,
    source: filing.source,
    ...(filing.login === undefined ? {} : { login: filing.login }),
    isRepair: tx.device(filing.device.deviceId) !== undefined,
    createdAtMs: now,
    expiresAtMs: now + PENDING.slidingMs,
  };
  tx.putPending(request);
  events.push({ kind: 'requested', request });
  return request;
}
