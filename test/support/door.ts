import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type Admission, type Admitted, admit, type DoorPorts, type Refused } from '../../src/auth/admit.ts';
import { Approvals, type PairingEvent } from '../../src/auth/approvals.ts';
import { AuditTrail } from '../../src/auth/audit.ts';
import { type ConnectionFacts, NO_FORWARDING } from '../../src/auth/facts.ts';
import { type AuthSettings, PolicyHolder } from '../../src/auth/policy.ts';
import type { AuditEntry, DeviceStore, Whois } from '../../src/auth/ports.ts';
import { AuthLimiter, DEFAULT_RATE_LIMIT } from '../../src/auth/rate-limit.ts';
import { silentLog } from '../../src/lib/log.ts';
import type { ConnectParams } from '../../src/protocol/connect.ts';
import { type DevicePayloadVersion, devicePayload, signedToken } from '../../src/protocol/device-payload.ts';
import type { Protocol } from '../../src/protocol/version.ts';
import { type ManualClock, manualClock } from './manual-clock.ts';
import { memoryDevices } from './memory-devices.ts';

/** A device's key pair. */
export interface TestKey {
  readonly id: string;
  readonly publicKey: string;
  readonly privateKey: KeyObject;
  readonly pem: string;
}

export function testKey(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(String(publicKey.export({ format: 'jwk' }).x), 'base64url');
  return {
    id: createHash('sha256').update(raw).digest('hex'),
    publicKey: raw.toString('base64url'),
    privateKey,
    pem: String(publicKey.export({ format: 'pem', type: 'spki' })),
  };
}

export const NONCE = '0e9b0c5e-8a4e-4c0e-9f5d-1f2e3d4c5b6a';

export type ConnectPatch = Partial<Omit<ConnectParams, 'client'>> & { readonly client?: Partial<ConnectParams['client']> };

/** `connect` of a plain operator client. */
export function connectOf(patch: ConnectPatch = {}): ConnectParams {
  const { client, ...rest } = patch;
  return {
    minProtocol: 3,
    maxProtocol: 4,
    role: 'operator',
    scopes: ['operator.read', 'operator.write'],
    ...rest,
    client: { id: 'gateway-client', version: '1.0.0', platform: 'linux', mode: 'ui', ...client },
  };
}

/** The same with a device that signs it. */
export function signed(
  key: TestKey,
  connect: ConnectParams,
  options: { nonce?: string; signedAt: number; version?: DevicePayloadVersion } = { signedAt: 0 },
): ConnectParams {
  const { nonce = NONCE, signedAt, version = 'v3' } = options;
  const text = devicePayload(version, {
    deviceId: key.id,
    clientId: connect.client.id,
    clientMode: connect.client.mode,
    role: connect.role ?? 'operator',
    scopes: connect.scopes ?? [],
    signedAt,
    token: signedToken(connect.auth ?? {}),
    nonce,
    platform: connect.client.platform,
    deviceFamily: connect.client.deviceFamily,
  });
  const signature = sign(null, Buffer.from(text), key.privateKey).toString('base64url');
  return { ...connect, device: { id: key.id, publicKey: key.publicKey, signature, signedAt, nonce } };
}

const LOOPBACK: ConnectionFacts = {
  listener: 'tcp',
  peer: { address: '127.0.0.1' },
  local: { address: '127.0.0.1', port: 18789 },
  peerUid: { kind: 'own', uid: 1000 },
  tls: false,
  host: 'known',
  hostIsLoopback: true,
  origin: 'absent',
  forwarding: NO_FORWARDING,
  peerIsTrustedProxy: false,
};
const PROXY_HEADERS = { present: true, names: ['x-forwarded-for'], funnel: false } as const;

/** One connection of every ingress. */
export const FACTS = {
  socket: { ...LOOPBACK, listener: 'socket', peer: undefined, local: undefined },
  local: LOOPBACK,
  neighbour: { ...LOOPBACK, peerUid: { kind: 'other', uid: 1001 } },
  serve: {
    ...LOOPBACK,
    listener: 'serve',
    hostIsLoopback: false,
    forwarding: {
      present: true,
      names: ['x-forwarded-for', 'tailscale-user-login'],
      funnel: false,
      client: '100.64.0.9',
      tailscaleLogin: 'me@example.com',
    },
  },
  public: { ...LOOPBACK, listener: 'serve', hostIsLoopback: false, forwarding: { ...PROXY_HEADERS, funnel: true, client: '203.0.113.9' } },
  proxied: {
    ...LOOPBACK,
    peer: { address: '10.0.0.2' },
    local: { address: '10.0.0.1', port: 18789 },
    hostIsLoopback: false,
    peerIsTrustedProxy: true,
    forwarding: { ...PROXY_HEADERS, client: '203.0.113.7', proxyUser: 'ada' },
  },
  remote: { ...LOOPBACK, peer: { address: '192.168.1.20' }, local: { address: '192.168.1.10', port: 18789 }, hostIsLoopback: false },
} as const satisfies Record<string, ConnectionFacts>;

export const SECRET = 'a-test-token-that-is-long-enough-0123456789';

export const SETTINGS: AuthSettings = {
  mode: 'token',
  secret: { kind: 'token', value: SECRET },
  allowTailscale: false,
  tailscaleOwners: [],
  trustedProxy: undefined,
  deviceAuthOptOut: false,
  rateLimit: DEFAULT_RATE_LIMIT,
};

export interface TestDoor {
  readonly ports: DoorPorts;
  readonly clock: ManualClock;
  readonly devices: DeviceStore & { readonly writes: number };
  readonly approvals: Approvals;
  readonly policy: PolicyHolder;
  readonly events: PairingEvent[];
  readonly lines: AuditEntry[];
  /** `connect`, signed by `key` when one is given. */
  knock(facts: ConnectionFacts, patch?: ConnectPatch, key?: TestKey, protocol?: Protocol): Promise<Admission>;
  bearer(facts: ConnectionFacts, token: string | undefined): Promise<Admission>;
}

/** A door with nobody behind it yet. */
export function testDoor(settings: Partial<AuthSettings> = {}, whois?: Whois, connected: ReadonlySet<string> = new Set()): TestDoor {
  const clock = manualClock();
  const devices = memoryDevices();
  const approvals = new Approvals(devices, clock, () => connected);
  const events: PairingEvent[] = [];
  approvals.onEvent((event) => events.push(event));
  const lines: AuditEntry[] = [];
  const policy = new PolicyHolder({ ...SETTINGS, ...settings });
  const ports: DoorPorts = {
    clock,
    log: silentLog,
    policy,
    devices,
    approvals,
    limiter: new AuthLimiter(clock, () => policy.current().rateLimit),
    audit: new AuditTrail({ append: async (entries) => void lines.push(...entries) }, clock, silentLog),
    ...(whois === undefined ? {} : { whois }),
  };
  /** Answers that are held back leave as the clock moves. */
  const soon = async (admission: Promise<Admission>): Promise<Admission> => {
    let done = false;
    void admission.finally(() => {
      done = true;
    });
    for (let i = 0; i < 200 && !done; i++) {
      await clock.advance(0);
      if (!done) await clock.advance(100);
    }
    return admission;
  };
  return {
    ports,
    clock,
    devices,
    approvals,
    policy,
    events,
    lines,
    knock(facts, patch = {}, key, protocol = 4) {
      const plain = connectOf(patch);
      const connect = key === undefined ? plain : signed(key, plain, { signedAt: clock.now() });
      return soon(admit(facts, { transport: 'ws', protocol, connect, nonce: NONCE }, ports));
    },
    bearer: (facts, token) => soon(admit(facts, { transport: 'http', bearer: token }, ports)),
  };
}

export function admitted(admission: Admission): Admitted {
  if (!admission.ok) throw new Error(`refused: ${admission.error.message}`);
  return admission;
}
export function refused(admission: Admission): Refused {
  if (admission.ok) throw new Error(`admitted as ${admission.principal.id}`);
  return admission;
}
export const codeOf = (admission: Admission): unknown => (admission.ok ? 'admitted' : admission.error.details?.['code']);
