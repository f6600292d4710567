import type { Role, Scope } from '../protocol/scopes.ts';

/** One role of a device and what was approved for it. */
export interface ApprovedRole {
  readonly role: Role;
  /** As approved, not closed downwards. Empty for a node. */
  readonly scopes: readonly Scope[];
}

export interface DeviceRecord {
  /** Lower-case hex SHA-256 of the raw public key. */
  readonly deviceId: string;
  /** base64url of the 32 raw bytes. */
  readonly publicKey: string;
  readonly displayName?: string;
  /** Pinned: another value later needs an approval. */
  readonly platform: string;
  readonly deviceFamily?: string;
  readonly clientId: string;
  readonly clientMode: string;
  readonly remoteIp?: string;
  /** How it was let in: the ingress (`local`), `code by <who>`, `login:<login>`, `import`, or the approver's id. */
  readonly approvedVia: string;
  /** By which class of credential, and from where, it was let in without a person's yes: how such devices are counted. */
  readonly letInBy?: string;
  readonly roles: readonly ApprovedRole[];
  readonly createdAtMs: number;
  readonly approvedAtMs: number;
  /** Set when it was removed: kept as a tombstone, so that coming back needs an approval. */
  readonly removedAtMs?: number;
}

/** A device token; its text is never stored. */
export interface TokenRecord {
  readonly id: string;
  readonly deviceId: string;
  readonly role: Role;
  /** base64url SHA-256 of the token's text. */
  readonly digest: string;
  /** Set when it is worth less than what is approved for the role (a rotation that narrowed it). */
  readonly bound?: readonly Scope[];
  readonly createdAtMs: number;
  /** Not valid from here on. */
  readonly expiresAtMs: number;
  /** No rotation goes beyond this. */
  readonly absoluteMs: number;
  readonly firstUsedAtMs?: number;
  readonly lastUsedAtMs?: number;
  /** Id of the token that this one was handed out to replace. */
  readonly replaces?: string;
}

export type PairingReason = 'not-paired' | 'role-upgrade' | 'scope-upgrade' | 'metadata-upgrade';

/** A request that waits for a person. One per device and role. */
export interface PendingRecord {
  readonly requestId: string;
  readonly deviceId: string;
  readonly publicKey: string;
  readonly displayName?: string;
  readonly platform: string;
  readonly deviceFamily?: string;
  readonly clientId: string;
  readonly clientMode: string;
  readonly role: Role;
  readonly scopes: readonly Scope[];
  readonly reason: PairingReason;
  readonly remoteIp?: string;
  /** Limiter key of the address it came from, for the cap per address. */
  readonly source: string;
  /** Tailnet or proxy login that vouches for it. */
  readonly login?: string;
  /** The device was known before. */
  readonly isRepair: boolean;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** A pairing link or code; its text is never stored. */
export interface CodeRecord {
  readonly id: string;
  /** base64url SHA-256 of the code's text. */
  readonly digest: string;
  readonly kind: 'link' | 'short';
  readonly roles: readonly ApprovedRole[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly createdBy: string;
  /** The first key that used it; only that one may repeat it. */
  readonly boundTo?: string;
}

/** Synchronous reads; inside `write` they see the changes made so far. */
export interface DeviceReads {
  /** Tombstones included. */
  device(deviceId: string): DeviceRecord | undefined;
  /** How many are paired; of those that were let in so, when that is given. */
  countDevices(letInBy?: string): number;
  tokens(deviceId: string): readonly TokenRecord[];
  tokenByDigest(digest: string): TokenRecord | undefined;
  /** Oldest first, expired ones included. */
  pending(): readonly PendingRecord[];
  codes(): readonly CodeRecord[];
  codeByDigest(digest: string): CodeRecord | undefined;
}

export interface DeviceWrites extends DeviceReads {
  putDevice(record: DeviceRecord): void;
  /** With its tokens, and without a tombstone. */
  dropDevice(deviceId: string): void;
  /** Keeps the tombstones of the `keep` devices that were paired last. */
  trimTombstones(keep: number): void;
  putToken(record: TokenRecord): void;
  dropToken(id: string): void;
  putPending(record: PendingRecord): void;
  dropPending(requestId: string): void;
  putCode(record: CodeRecord): void;
  dropCode(id: string): void;
}

export interface PairedDevice {
  readonly device: DeviceRecord;
  /** Oldest first. */
  readonly tokens: readonly TokenRecord[];
}

/** Who is paired, what waits, which tokens and codes live. */
export interface DeviceStore extends DeviceReads {
  /** All of them without tombstones, oldest first. What has not changed is the same object as before, so it may be asked often. */
  paired(): readonly PairedDevice[];
  /**
   * Runs `work` alone (nothing else writes meanwhile) and resolves with its result once it is durable. When `work` throws, nothing of
   * it stays and the promise rejects.
   */
  write<T>(work: (tx: DeviceWrites) => T): Promise<T>;
}

export interface AuditEntry {
  readonly atMs: number;
  /** `admitted`, `refused`, `paired`, `pair-requested`, `pair-rejected`, `device-removed`, `token-rotated`, `token-revoked`, `secret-changed`, … */
  readonly event: string;
  /** Wire detail code of a refusal. */
  readonly code?: string;
  readonly actor?: string;
  readonly deviceId?: string;
  readonly ingress?: string;
  readonly address?: string;
  readonly client?: string;
  readonly detail?: string;
  /** How many alike this line stands for, from `atMs` on. */
  readonly count: number;
}

/** Append-only. */
export interface AuditSink {
  append(entries: readonly AuditEntry[]): Promise<void>;
}

/** What tailscaled says about a tailnet address. */
export interface WhoisAnswer {
  /** Login of the person; undefined for a tagged node. */
  readonly login?: string;
  /** The address is one of our own node: any local user reaches Serve under it, so it is nobody's identity. */
  readonly isOwnNode: boolean;
}

export interface Whois {
  /** Undefined when nobody is known there; rejects when tailscaled cannot be asked. Must honour `signal`. */
  lookup(address: string, signal: AbortSignal): Promise<WhoisAnswer | undefined>;
  /** The login our own node belongs to; undefined when it is tagged or not known. */
  ownerLogin(): string | undefined;
}
