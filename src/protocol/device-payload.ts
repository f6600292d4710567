/** What a device signs at `connect`: who it is, what it asks for, with which credential, in answer to which nonce. */
export interface DeviceClaim {
  readonly deviceId: string;
  readonly clientId: string;
  readonly clientMode: string;
  readonly role: string;
  /** In the order they were sent. */
  readonly scopes: readonly string[];
  /** ms since 1970 */
  readonly signedAt: number;
  /** `auth.token`, else `auth.deviceToken`, else `auth.bootstrapToken`, else empty. Passwords are not signed. */
  readonly token: string;
  readonly nonce: string;
  readonly platform?: string | undefined;
  readonly deviceFamily?: string | undefined;
}

/** v2 is what browsers of the 3.x line sign, v3 all others; a server tries v3 first. */
export type DevicePayloadVersion = 'v2' | 'v3';

/**
 * The signed text: fields joined with `|`. The format is fixed by existing clients. A field that holds `|` makes two claims read
 * alike, so the server must also check each field it relies on against its own value (nonce, device id).
 */
export function devicePayload(version: DevicePayloadVersion, claim: DeviceClaim): string {
  const fields = [
    version,
    claim.deviceId,
    claim.clientId,
    claim.clientMode,
    claim.role,
    claim.scopes.join(','),
    String(claim.signedAt),
    claim.token,
    claim.nonce,
  ];
  if (version === 'v3') fields.push(plain(claim.platform), plain(claim.deviceFamily));
  return fields.join('|');
}

/** Trimmed, and A–Z alone made lower case: a wider fold would differ between runtimes. */
const plain = (text: string | undefined): string => (text ?? '').trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());

/** The token that stands in the signed text for what `connect.auth` carries. */
export const signedToken = (auth: {
  readonly token?: string | undefined;
  readonly deviceToken?: string | undefined;
  readonly bootstrapToken?: string | undefined;
}): string => auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? '';
