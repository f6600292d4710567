import type { HelloAuth, SessionDefaults } from '../../protocol/connect.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { holdsScope, type Role, type Scope } from '../../protocol/scopes.ts';
import type { Protocol } from '../../protocol/version.ts';

/** What hello-ok says beside who the client is. Presence and health come as JSON text that is cached elsewhere. */
export interface HelloFacts {
  readonly version: string;
  readonly buildId: string;
  readonly bootId: string;
  /** See `featuresJson`. */
  readonly features: Readonly<Record<Protocol, string>>;
  readonly uptimeMs: number;
  readonly presenceJson: string;
  readonly healthJson: string;
  readonly presenceVersion: number;
  readonly healthVersion: number;
  readonly sessionDefaults: SessionDefaults;
  readonly configPath: string;
  readonly stateDir: string;
  readonly authMode: string;
  readonly configHash: string;
  /** Largest frame that this receiver may send, bytes. */
  readonly maxPayload: number;
}

const ATTACHMENTS = { maxBytes: 19_464_192, maxImageBytes: 6_291_456 };

/** What a client may call and hear, as JSON text: the same for everyone, so it is made once. */
export function featuresJson(methods: readonly string[], events: readonly string[]): Record<Protocol, string> {
  return { 3: JSON.stringify({ methods, events }), 4: JSON.stringify({ methods, events, capabilities: [] }) };
}

/**
 * The text of hello-ok in the shape of the negotiated protocol. Presence, paths and auth mode follow the scopes of
 * the receiver in both shapes: a probe without scopes, or a node, learns neither who is here nor where state lies.
 */
export function helloText(
  id: string,
  protocol: Protocol,
  connId: string,
  who: { readonly role: Role; readonly scopes: readonly Scope[] },
  /** Undefined: a 3.x client that got no token. */
  auth: HelloAuth | undefined,
  facts: HelloFacts,
): string {
  const reads = who.role === 'operator' && holdsScope(who.scopes, 'operator.read');
  const admin = who.role === 'operator' && holdsScope(who.scopes, 'operator.admin');
  const { version, buildId, bootId } = facts;
  const head = {
    type: 'hello-ok',
    protocol,
    server: protocol === 3 ? { version, connId } : { version, buildId, bootId, connId },
  };
  const defaults = facts.sessionDefaults;
  const rest = {
    stateVersion: { presence: facts.presenceVersion, health: facts.healthVersion },
    uptimeMs: facts.uptimeMs,
    ...(protocol === 4 ? { suspension: { phase: 'accepting' }, appliedConfigHash: facts.configHash } : {}),
    sessionDefaults:
      protocol === 3
        ? {
            defaultAgentId: defaults.defaultAgentId,
            mainKey: defaults.mainKey,
            mainSessionKey: defaults.mainSessionKey,
            scope: defaults.scope,
          }
        : defaults,
    ...(admin ? { configPath: facts.configPath, stateDir: facts.stateDir, authMode: facts.authMode } : {}),
  };
  const tail = {
    ...(auth === undefined ? {} : { auth }),
    policy: {
      maxPayload: facts.maxPayload,
      maxBufferedBytes: LIMITS.maxBufferedBytes,
      tickIntervalMs: LIMITS.tickIntervalMs,
      ...(protocol === 4 ? { attachments: ATTACHMENTS } : {}),
    },
  };
  // Spliced, not nested: presence and health are text already, and a handshake must not serialise two hundred entries.
  const snapshot = `"snapshot":{"presence":${reads ? facts.presenceJson : '[]'},"health":${facts.healthJson},${JSON.stringify(rest).slice(1)}`;
  const payload = `${JSON.stringify(head).slice(0, -1)},"features":${facts.features[protocol]},${snapshot},${JSON.stringify(tail).slice(1)}`;
  return `{"type":"res","id":${JSON.stringify(id)},"ok":true,"payload":${payload}}`;
}
