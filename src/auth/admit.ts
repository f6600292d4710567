import type { Clock } from '../lib/clock.ts';
import { CLOSE, type CloseCode } from '../protocol/close.ts';
import type { ConnectParams, HelloAuth } from '../protocol/connect.ts';
import type { WireError } from '../protocol/errors.ts';
import type { Role, Scope } from '../protocol/scopes.ts';
import type { Protocol } from '../protocol/version.ts';
import type { ConnectionFacts } from './facts.ts';
import { type Ingress, ingressOf } from './ingress.ts';
import type { AuditSink, DeviceStore, Whois } from './ports.ts';
import type { Principal } from './principal.ts';

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
  readonly devices: DeviceStore;
  readonly audit: AuditSink;
  readonly whois?: Whois | undefined;
}

/** THE DOOR. Total: whatever is presented gives an admission or a refusal, never a throw. Closed until the table stands behind it. */
export async function admit(facts: ConnectionFacts, _presented: Presented, _ports: DoorPorts): Promise<Admission> {
  return {
    ok: false,
    via: ingressOf(facts),
    error: { code: 'INVALID_REQUEST', message: 'unauthorized' },
    close: { code: CLOSE.policy, reason: 'unauthorized' },
    http: { status: 401 },
  };
}
