import type { ConnectParams } from '../protocol/connect.ts';
import { devicePayload, signedToken } from '../protocol/device-payload.ts';
import { MAX_PROTOCOL, MIN_PROTOCOL } from '../protocol/version.ts';
import type { ConnectAuth, DeviceKey } from './credentials.ts';

/** Who this client says it is. Shown to people and in presence; the gateway takes no authority from it. */
export interface ClientInfo {
  readonly id: string;
  readonly mode: string;
  readonly version: string;
  readonly platform: string;
  readonly displayName?: string;
  readonly deviceFamily?: string;
  readonly instanceId?: string;
}

export interface Hello {
  readonly client: ClientInfo;
  readonly role: 'operator' | 'node';
  readonly scopes: readonly string[];
  /** E.g. `tool-events`: see what tools do in runs of this connection. */
  readonly caps?: readonly string[];
  readonly locale?: string;
  readonly userAgent?: string;
}

/** The params of `connect`, with the proof of the device's key when there is one. `nowMs` is the gateway's clock where it told it. */
export async function connectParams(
  hello: Hello,
  auth: ConnectAuth,
  device: DeviceKey | undefined,
  challenge: { readonly nonce: string; readonly nowMs: number },
): Promise<ConnectParams> {
  const { client, role, scopes } = hello;
  const params: ConnectParams = {
    minProtocol: MIN_PROTOCOL,
    maxProtocol: MAX_PROTOCOL,
    client: { ...client },
    caps: [...(hello.caps ?? [])],
    role,
    scopes: [...scopes],
    auth: { ...auth },
    ...(hello.locale === undefined ? {} : { locale: hello.locale }),
    ...(hello.userAgent === undefined ? {} : { userAgent: hello.userAgent }),
  };
  if (device === undefined) return params;
  const signature = await device.sign(
    devicePayload('v3', {
      deviceId: device.id,
      clientId: client.id,
      clientMode: client.mode,
      role,
      scopes,
      signedAt: challenge.nowMs,
      token: signedToken(auth),
      nonce: challenge.nonce,
      platform: client.platform,
      deviceFamily: client.deviceFamily,
    }),
  );
  return {
    ...params,
    device: { id: device.id, publicKey: device.publicKey, signature, signedAt: challenge.nowMs, nonce: challenge.nonce },
  };
}
