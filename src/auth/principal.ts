import { OPERATOR_SCOPES, type Role, type Scope } from '../protocol/scopes.ts';
import type { Ingress } from './ingress.ts';

/** By what a connection was let in. */
export type CredentialClass = 'socket' | 'device-token' | 'shared-secret' | 'pairing-code' | 'tailnet-identity' | 'proxy-identity' | 'none';

/** Who is connected, as the server holds it; nothing in it was claimed by the client. */
export interface Principal {
  /** Stable key for limits and records: `socket`, `device:<id>`, `secret:<address key>`, `none`. */
  readonly id: string;
  readonly kind: 'socket' | 'device' | 'secret' | 'none';
  readonly role: Role;
  /** Closed downwards (`admin` lists all). Empty for nodes. */
  readonly scopes: readonly Scope[];
  readonly deviceId?: string;
  readonly credential: {
    readonly class: CredentialClass;
    /** Of the device token, when `class` is `device-token`. */
    readonly id?: string;
    /** Generation of the shared secret and mode at the moment of admission. */
    readonly generation: number;
  };
  readonly ingress: Ingress['kind'];
  /** For people: `laptop (device 1a2b3c4d)`, `this machine`. Bounded, printable. */
  readonly label: string;
}

/** Whoever can open the admin socket: its directory lets in nobody but the user the gateway runs as. */
export const OWNER: Principal = {
  id: 'socket',
  kind: 'socket',
  role: 'operator',
  scopes: OPERATOR_SCOPES,
  credential: { class: 'socket', generation: 0 },
  ingress: 'socket',
  label: 'this machine',
};
