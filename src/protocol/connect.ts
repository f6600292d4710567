import * as z from 'zod/mini';
import type { StateVersion } from './frames.ts';
import type { Role, Scope } from './scopes.ts';

/**
 * `connect`: the first request of a connection. Unknown keys are ignored (files and clients of other versions send
 * them); what is known is checked. `client.id` and `client.mode` are any bounded text and never authority.
 */
const name = z.string().check(z.minLength(1), z.maxLength(256));
const optionalName = z.optional(z.string().check(z.maxLength(256)));
const secret = z.optional(z.string().check(z.maxLength(4096)));
const names = z.array(z.string().check(z.maxLength(128))).check(z.maxLength(256));

export const connectParams = z.object({
  minProtocol: z.int().check(z.minimum(1)),
  maxProtocol: z.int().check(z.minimum(1)),
  client: z.object({
    id: name,
    displayName: optionalName,
    version: name,
    platform: name,
    deviceFamily: optionalName,
    modelIdentifier: optionalName,
    mode: name,
    instanceId: optionalName,
    timeZone: optionalName,
  }),
  caps: z.optional(names),
  commands: z.optional(names),
  permissions: z.optional(z.record(z.string().check(z.maxLength(128)), z.boolean())),
  pathEnv: z.optional(z.string().check(z.maxLength(16_384))),
  role: z.optional(z.string()),
  scopes: z.optional(names),
  device: z.optional(
    z.object({
      id: name,
      publicKey: z.string().check(z.minLength(1), z.maxLength(1024)),
      signature: z.string().check(z.minLength(1), z.maxLength(256)),
      signedAt: z.int(),
      nonce: name,
    }),
  ),
  auth: z.optional(z.object({ token: secret, bootstrapToken: secret, deviceToken: secret, password: secret })),
  locale: optionalName,
  userAgent: z.optional(z.string().check(z.maxLength(1024))),
});
export type ConnectParams = z.infer<typeof connectParams>;

export interface ConnectChallenge {
  readonly nonce: string;
  readonly ts: number;
  readonly capabilities?: readonly string[];
}

export interface PresenceEntry {
  readonly host?: string;
  readonly ip?: string;
  readonly version?: string;
  readonly platform?: string;
  readonly deviceFamily?: string;
  readonly modelIdentifier?: string;
  readonly mode?: string;
  readonly reason?: string;
  readonly text?: string;
  readonly ts: number;
  readonly deviceId?: string;
  readonly roles?: readonly string[];
  readonly scopes?: readonly string[];
  readonly instanceId?: string;
  readonly clientId?: string;
}

export interface SessionDefaults {
  readonly defaultAgentId: string;
  readonly mainKey: string;
  readonly mainSessionKey: string;
  readonly scope: 'per-sender' | 'global';
  readonly modelConfigured?: boolean;
  readonly ownership?: 'sole';
  readonly selectionRequired?: boolean;
}

export interface HelloAuth {
  readonly method?: 'token' | 'password' | 'device-token' | 'bootstrap-token' | 'none' | 'tailscale' | 'trusted-proxy' | 'local-socket';
  readonly role: Role;
  readonly scopes: readonly Scope[];
  readonly deviceToken?: string;
  readonly issuedAtMs?: number;
  /** Tokens for the further roles of a pairing code. */
  readonly deviceTokens?: readonly {
    readonly deviceToken: string;
    readonly role: Role;
    readonly scopes: readonly Scope[];
    readonly issuedAtMs: number;
  }[];
}

export interface HelloOk {
  readonly type: 'hello-ok';
  readonly protocol: 3 | 4;
  readonly server: { readonly version: string; readonly connId: string; readonly buildId?: string; readonly bootId?: string };
  readonly features: { readonly methods: readonly string[]; readonly events: readonly string[]; readonly capabilities?: readonly string[] };
  readonly snapshot: {
    readonly presence: readonly PresenceEntry[];
    readonly health: unknown;
    readonly stateVersion: StateVersion;
    readonly uptimeMs: number;
    readonly sessionDefaults: SessionDefaults;
    readonly configPath?: string;
    readonly stateDir?: string;
    readonly authMode?: string;
    readonly suspension?: { readonly phase: 'accepting' };
  };
  readonly auth?: HelloAuth;
  readonly policy: {
    readonly maxPayload: number;
    readonly maxBufferedBytes: number;
    readonly tickIntervalMs: number;
    readonly attachments?: { readonly maxBytes: number; readonly maxImageBytes: number };
  };
}
