import type { Clock } from '../lib/clock.ts';
import { isLoopback, parseIp } from '../net/addresses.ts';
import type { ConnectParams } from '../protocol/connect.ts';
import { knownScopes, type Role } from '../protocol/scopes.ts';
import type { Approvals, DeviceDetails } from './approvals.ts';
import { printable } from './audit.ts';
import type { DeviceStanding, Evidence, Held } from './decide.ts';
import type { ProvenDevice } from './device-proof.ts';
import { liveToken } from './device-tokens.ts';
import type { ConnectionFacts } from './facts.ts';
import type { Ingress } from './ingress.ts';
import { usableCode } from './pairing-codes.ts';
import type { AuthPolicy } from './policy.ts';
import type { CodeRecord, DeviceRecord, DeviceStore, TokenRecord, Whois } from './ports.ts';
import type { AuthLimiter, GuessClass, Guesser } from './rate-limit.ts';
import type { Reason } from './reasons.ts';
import { secretMatches } from './secret.ts';

/** tailscaled answers in a few ms or not at all. */
export const WHOIS_DEADLINE_MS = 2_000;

export interface GatherPorts {
  readonly clock: Clock;
  readonly policy: AuthPolicy;
  readonly devices: DeviceStore;
  readonly approvals: Approvals;
  readonly limiter: AuthLimiter;
  readonly whois?: Whois | undefined;
}

/** The evidence, and what was found on the way to it. */
export interface Gathered {
  readonly evidence: Evidence;
  /** Classes in which a wrong guess was made, one entry per guess. */
  readonly wrong: readonly GuessClass[];
  /** ms until a locked caller may try again; 0 when nothing was held back. */
  readonly waitMs: number;
  readonly token?: TokenRecord;
  readonly code?: CodeRecord;
  /** The record the standing was judged by. */
  readonly record?: DeviceRecord | undefined;
}

interface Found {
  readonly held: Held;
  readonly token?: TokenRecord;
  readonly code?: CodeRecord;
}

/** What comparing has shown so far. */
interface Tally {
  readonly wrong: GuessClass[];
  waitMs: number;
}

export const guesserOf = (facts: ConnectionFacts, ingress: Ingress): Guesser => {
  const isBrowser = facts.origin !== 'absent';
  return {
    key: isBrowser ? `${ingress.key} browser` : ingress.key,
    isLocal: ingress.kind === 'local' || ingress.kind === 'socket',
    isBrowser,
    isPublic: ingress.kind === 'public',
  };
};

/** Texts that were given, each once, blanks left out. */
const given = (...texts: readonly (string | undefined)[]): string[] => [
  ...new Set(texts.filter((text): text is string => text !== undefined && text.trim() !== '')),
];

/** The evidence for a WebSocket. `proven`: the device whose key answered the challenge. */
export async function gatherWs(
  facts: ConnectionFacts,
  ingress: Ingress,
  connect: ConnectParams,
  role: Role,
  proven: ProvenDevice | undefined,
  ports: GatherPorts,
): Promise<Gathered> {
  const details = deviceDetails(connect);
  const stands: { standing: DeviceStanding; record: DeviceRecord | undefined } =
    proven === undefined ? { standing: { state: 'none' }, record: undefined } : ports.approvals.standing(proven.deviceId, role, details);
  const tally: Tally = { wrong: [], waitMs: 0 };
  const found = await firstThatHolds(facts, ingress, connect, role, proven, ports, tally);
  return {
    evidence: {
      transport: 'ws',
      mode: ports.policy.mode,
      origin: 'fine',
      role,
      requested: knownScopes(connect.scopes ?? []),
      isBrowser: facts.origin !== 'absent',
      device: stands.standing,
      held: found.held,
      deviceAuthOptOut: ports.policy.deviceAuthOptOut,
    },
    record: stands.record,
    ...tally,
    ...(found.token === undefined ? {} : { token: found.token }),
    ...(found.code === undefined ? {} : { code: found.code }),
  };
}

/** Device token with proof, shared secret, pairing code, identity: the first that holds ends the search. */
async function firstThatHolds(
  facts: ConnectionFacts,
  ingress: Ingress,
  connect: ConnectParams,
  role: Role,
  proven: ProvenDevice | undefined,
  ports: GatherPorts,
  tally: Tally,
): Promise<Found> {
  const nothing = (presented: boolean, why: Reason): Found => ({ held: { what: 'nothing', presented, why } });
  // The admin socket needs nothing, and what is brought along is not looked at.
  if (ingress.kind === 'socket') return nothing(false, 'unauthorized');

  const auth = connect.auth ?? {};
  const { policy, clock, devices } = ports;
  const now = clock.now();
  const guesser = guesserOf(facts, ingress);

  if (proven !== undefined) {
    for (const text of given(auth.deviceToken, auth.token)) {
      const token = liveToken(devices, text, now);
      if (token?.deviceId === proven.deviceId && token.role === role) return { token, held: { what: 'device-token', bound: token.bound } };
    }
  }

  const secrets = given(auth.token, auth.password);
  if (secrets.length > 0 && compareSecret(secrets, ingress, guesser, ports, tally)) return { held: { what: 'secret' } };

  const codeText = given(auth.bootstrapToken)[0];
  if (codeText !== undefined) {
    const code = compareCode(codeText, proven?.deviceId, guesser, ports, tally);
    if (code !== undefined) return { code, held: { what: 'code', kind: code.kind, roles: code.roles } };
  }

  const identity = await identityOf(facts, ingress, ports);
  if (typeof identity === 'object') return { held: identity };

  const deviceToken = given(auth.deviceToken)[0];
  if (deviceToken !== undefined && proven === undefined && secrets.length === 0 && codeText === undefined) {
    return { held: { what: 'device-token-without-key' } };
  }
  if (tally.waitMs > 0) return nothing(true, 'rate_limited');
  if (deviceToken !== undefined) return nothing(true, 'device_token_mismatch');
  if (secrets.length > 0) return nothing(true, secretReason(policy, ingress, 'mismatch'));
  if (codeText !== undefined) return nothing(true, 'bootstrap_token_invalid');
  return nothing(false, identity ?? secretReason(policy, ingress, 'missing'));
}

/** The evidence for an HTTP request: a Bearer credential or nothing. Identity never counts here. */
export function gatherHttp(facts: ConnectionFacts, ingress: Ingress, bearer: string | undefined, ports: GatherPorts): Gathered {
  const { policy, clock, devices } = ports;
  const tally: Tally = { wrong: [], waitMs: 0 };
  const base = {
    transport: 'http',
    mode: policy.mode,
    origin: 'fine',
    requested: [],
    isBrowser: facts.origin !== 'absent',
    deviceAuthOptOut: false,
  } as const;
  const none = { ...base, role: 'operator', device: { state: 'none' } } as const;
  const text = given(bearer)[0];
  if (text === undefined || ingress.kind === 'socket') {
    const why = ingress.kind === 'socket' ? 'unauthorized' : secretReason(policy, ingress, 'missing');
    return { evidence: { ...none, held: { what: 'nothing', presented: false, why } }, ...tally };
  }
  // Looked up by hash among random ones, so a lock, which is against guessing, has no part in it.
  const token = liveToken(devices, text, clock.now());
  const record = token === undefined ? undefined : devices.device(token.deviceId);
  if (token !== undefined && record !== undefined && record.removedAtMs === undefined) {
    const approved = record.roles.find(({ role }) => role === token.role);
    const device: DeviceStanding = approved === undefined ? { state: 'none' } : { state: 'paired', approved: approved.scopes };
    return { evidence: { ...base, role: token.role, device, held: { what: 'device-token', bound: token.bound } }, token, record, ...tally };
  }
  if (compareSecret([text], ingress, guesserOf(facts, ingress), ports, tally))
    return { evidence: { ...none, held: { what: 'secret' } }, ...tally };
  const why = tally.waitMs > 0 ? 'rate_limited' : secretReason(policy, ingress, 'mismatch');
  return { evidence: { ...none, held: { what: 'nothing', presented: true, why } }, ...tally };
}

/** A secret that is short, blank or printed in every guide guards nothing that another machine can reach. */
const guards = (policy: AuthPolicy, ingress: Ingress): boolean =>
  policy.secret !== undefined && (policy.secret.strength === 'ok' || ingress.kind === 'local' || ingress.kind === 'neighbour');

function compareSecret(texts: readonly string[], ingress: Ingress, guesser: Guesser, ports: GatherPorts, tally: Tally): boolean {
  const { secret } = ports.policy;
  if (secret === undefined || !guards(ports.policy, ingress)) return false;
  const wait = ports.limiter.wait('shared-secret', guesser, secret.kind === 'password');
  const limited = (): false => {
    tally.waitMs = Math.max(tally.waitMs, wait);
    return false;
  };
  // A lock is there so that nothing is compared. Who is only slowed is not to suffer from others who guess beside it.
  if (wait > 0 && !ports.limiter.isSlowed(guesser)) return limited();
  if (texts.some((text) => secretMatches(secret, text))) {
    ports.limiter.right('shared-secret', guesser);
    return true;
  }
  if (wait > 0) return limited();
  for (const _ of texts) tally.wrong.push('shared-secret');
  return false;
}

function compareCode(
  text: string,
  deviceId: string | undefined,
  guesser: Guesser,
  ports: GatherPorts,
  tally: Tally,
): CodeRecord | undefined {
  const wait = ports.limiter.wait('pairing-code', guesser);
  const isCompared = wait === 0 || ports.limiter.isSlowed(guesser);
  const code = isCompared ? usableCode(ports.devices, text, deviceId, ports.clock.now()) : undefined;
  if (code !== undefined) return code;
  if (wait > 0) tally.waitMs = Math.max(tally.waitMs, wait);
  else tally.wrong.push('pairing-code');
  return undefined;
}

/** What a missing or wrong secret is called, by the mode that asks for it. */
function secretReason(policy: AuthPolicy, ingress: Ingress, what: 'missing' | 'mismatch'): Reason {
  const kind = policy.secret?.kind ?? policy.mode;
  if (kind !== 'token' && kind !== 'password') return kind === 'trusted-proxy' ? 'trusted_proxy_untrusted_source' : 'none';
  return guards(policy, ingress) ? `${kind}_${what}` : `${kind}_missing_config`;
}

/** An identity that holds, or why one that was claimed does not; undefined when none was. */
async function identityOf(facts: ConnectionFacts, ingress: Ingress, ports: GatherPorts): Promise<Held | Reason | undefined> {
  if (ingress.kind === 'proxied') return proxyIdentity(facts, ports.policy);
  if (ingress.kind === 'serve' && ports.policy.allowTailscale && ports.whois !== undefined)
    return tailnetIdentity(facts, ports, ports.whois);
  return undefined;
}

function proxyIdentity(facts: ConnectionFacts, policy: AuthPolicy): Held | Reason | undefined {
  if (policy.mode !== 'trusted-proxy' || policy.trustedProxy === undefined) return undefined;
  const peer = facts.peer === undefined ? undefined : parseIp(facts.peer.address);
  // Anybody on this machine can be a proxy on loopback, so there it has to show who it is.
  const isBelieved = peer !== undefined && (!isLoopback(peer) || facts.forwarding.proxyProven === true);
  if (!isBelieved) return 'trusted_proxy_untrusted_source';
  const user = facts.forwarding.proxyUser?.trim();
  if (user === undefined || user === '') return 'trusted_proxy_user_missing';
  if (!policy.trustedProxy.allowUsers.includes(user)) return 'trusted_proxy_user_not_allowed';
  return { what: 'proxy-identity', user, scopes: policy.trustedProxy.scopes };
}

async function tailnetIdentity(facts: ConnectionFacts, ports: GatherPorts, whois: Whois): Promise<Held | Reason | undefined> {
  const { client, tailscaleLogin } = facts.forwarding;
  // A tagged node has no login; nobody claims anything.
  if (client === undefined || tailscaleLogin === undefined || tailscaleLogin.trim() === '') return undefined;
  const deadline = new AbortController();
  const cancel = ports.clock.after(WHOIS_DEADLINE_MS, () => deadline.abort());
  try {
    const answer = await Promise.race([whois.lookup(client, deadline.signal), aborted(deadline.signal)]);
    if (answer?.login === undefined) return 'tailscale_whois_failed';
    // Any user of this machine reaches Serve under our own node's address.
    if (answer.isOwnNode) return undefined;
    if (!sameLogin(answer.login, tailscaleLogin)) return 'tailscale_user_mismatch';
    const owner = whois.ownerLogin();
    const owners = owner === undefined ? ports.policy.tailscaleOwners : [owner, ...ports.policy.tailscaleOwners];
    const { login } = answer;
    return { what: 'tailnet-identity', login, isOwner: owners.some((one) => sameLogin(one, login)) };
  } catch {
    return 'tailscale_whois_failed';
  } finally {
    cancel();
  }
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('no answer in time')), { once: true }));

const sameLogin = (a: string, b: string): boolean => a.trim().toLowerCase() === b.trim().toLowerCase();

/** What a device says of itself, made fit to be shown to whoever approves it. */
export const deviceDetails = ({ client }: ConnectParams): DeviceDetails => ({
  displayName: client.displayName === undefined ? undefined : printable(client.displayName, MAX_DETAIL),
  platform: printable(client.platform, MAX_DETAIL),
  deviceFamily: client.deviceFamily === undefined ? undefined : printable(client.deviceFamily, MAX_DETAIL),
  clientId: printable(client.id, MAX_DETAIL),
  clientMode: printable(client.mode, MAX_DETAIL),
});
const MAX_DETAIL = 256;
