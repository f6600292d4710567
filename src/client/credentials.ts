/** What a client holds to get in. Which of it is sent is decided in `connectAuth` and nowhere else. */
export interface Credentials {
  readonly token?: string;
  readonly password?: string;
  readonly bootstrapToken?: string;
  /** Given by hand (`--token`, `--password`): sent alone, a stored device token never takes its place. */
  readonly explicit?: boolean;
}

export interface StoredToken {
  readonly token: string;
  readonly scopes: readonly string[];
}

/** The device tokens this client was given, one per gateway and role. */
export interface TokenStore {
  read(endpoint: string, role: string): StoredToken | undefined;
  write(endpoint: string, role: string, token: StoredToken): void;
  remove(endpoint: string, role: string): void;
}

/** The key pair of this client. Signing may be asynchronous: a page has WebCrypto only. */
export interface DeviceKey {
  /** Lower-case hex SHA-256 of the raw public key. */
  readonly id: string;
  /** base64url of the raw 32 bytes. */
  readonly publicKey: string;
  /** base64url Ed25519 signature over the UTF-8 of `text`. */
  sign(text: string): string | Promise<string>;
}

export interface ConnectAuth {
  readonly token?: string;
  readonly password?: string;
  readonly deviceToken?: string;
  readonly bootstrapToken?: string;
}

/**
 * What goes into `connect.auth`. The shared secret first: it is what the person configured. A stored device token stands in only where
 * there is no secret, or, with `useStored`, after the gateway did not know the secret.
 */
export function connectAuth(credentials: Credentials, stored: StoredToken | undefined, useStored: boolean): ConnectAuth {
  const { token, password, bootstrapToken } = credentials;
  const bare = token === undefined && password === undefined && bootstrapToken === undefined;
  if (stored !== undefined && credentials.explicit !== true && (bare || useStored)) return { deviceToken: stored.token };
  return {
    ...(token === undefined ? {} : { token }),
    ...(password === undefined ? {} : { password }),
    ...(bootstrapToken === undefined ? {} : { bootstrapToken }),
  };
}
