import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type ConnectionFacts, type ForwardingFacts, NO_FORWARDING, type PeerOwner } from '../auth/facts.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { type Cidr, cidrs, type IpAddress, isLoopback, parseIp } from '../net/addresses.ts';
import { formatAuthority, isLoopbackHost, parseAuthority } from '../net/hosts.ts';
import { judgeOrigin, type OriginPolicy, type OriginVerdict } from '../net/origin-policy.ts';
import type { PeerUidReader } from '../net/peer-uid.ts';
import { forwarding, forwardingHeaders } from '../net/proxy-headers.ts';

/** Which of our listeners a request came in by; known from the object it arrived at, never from the request. */
export interface ListenerFacts {
  /** `serve`: only tailscaled reaches it, and that was proven for this very connection. `socket`: the admin socket. */
  readonly kind: 'socket' | 'tcp' | 'serve';
  /** TLS ends in this process. */
  readonly tls: boolean;
  readonly declaredPublic?: boolean;
}

/** What config and machine say, parsed once per snapshot. */
export interface FactsPolicy {
  readonly origins: OriginPolicy;
  readonly trustedProxies: readonly Cidr[];
  readonly allowRealIp?: boolean;
  /** `gateway.auth.trustedProxy`. */
  readonly proxyIdentity?: { readonly userHeader: string; readonly requiredHeaders: readonly string[] };
}

/** How the other end of a loopback connection is told. */
export interface PeerLookup {
  readonly read: PeerUidReader;
  /** Undefined where the system has none. */
  readonly ownUid: number | undefined;
}

export interface RequestFacts {
  readonly method: string;
  /** As sent, still percent-encoded, up to `?`. Starts with `/`. */
  readonly path: string;
  /** Without its `?`; empty when there is none. */
  readonly query: string;
  /** Of `Authorization: Bearer …`; undefined when there is none or it is of another scheme. */
  readonly bearer: string | undefined;
  readonly verdict: OriginVerdict;
  /** The Host header's text, for messages; only harmless characters. */
  readonly hostText: string;
  /** Of the address that was reached. */
  readonly localPort: number | undefined;
  /** Asks who the peer is, once per TCP connection, and only here: most requests need not know. */
  connection(): Promise<ConnectionFacts>;
}

/** Why a request is not looked at any further. `message` may be shown to anyone. */
export interface BadRequest {
  readonly status: 400 | 414;
  readonly message: string;
}

/** Longest request target, bytes. */
export const MAX_TARGET = 8_192;
const MAX_BEARER = 4_096;

/** Headers that decide something: said twice, two programs on the way may each believe another one. */
const SINGLE = [
  'host',
  'origin',
  'authorization',
  'content-length',
  'content-type',
  'transfer-encoding',
  'sec-websocket-key',
  'sec-websocket-version',
];

/**
 * One request as plain facts. Total; nobody behind this function sees an `IncomingMessage`. Refused: no Host or one that is no plain
 * authority, deciding headers that come twice, and targets that are not a path (`http://…`, `*`).
 */
export function factsOf(
  request: IncomingMessage,
  listener: ListenerFacts,
  policy: FactsPolicy,
  peers: PeerLookup,
): Result<RequestFacts, BadRequest> {
  const target = request.url ?? '';
  if (target.length > MAX_TARGET) return bad(414, `the request target is longer than ${MAX_TARGET} bytes`);
  if (!target.startsWith('/')) return bad(400, 'the request target must be a path that starts with "/"');
  if (/[^\x21-\x7e]/.test(target)) return bad(400, 'the request target holds characters that must be percent-encoded');
  const twice = repeated(request.rawHeaders);
  if (twice !== undefined) return bad(400, `the header ${twice} comes more than once`);
  const { headers } = request;
  const host = headers.host;
  if (host === undefined || host === '') return bad(400, 'a Host header is required');
  const authority = parseAuthority(host);
  if (!authority) return bad(400, 'the Host header is not a host name or address with an optional port');

  const socket = request.socket;
  const forwardedHost = headers['x-forwarded-host'];
  const isServe = listener.kind === 'serve';
  const verdict = judgeOrigin(
    {
      host,
      origin: headers.origin,
      localAddress: socket.localAddress,
      secure: listener.tls || isServe,
      isServeListener: isServe,
      xForwardedHost: typeof forwardedHost === 'string' ? forwardedHost : undefined,
    },
    policy.origins,
  );
  const mark = target.indexOf('?');
  return ok({
    method: request.method ?? '',
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? '' : target.slice(mark + 1),
    bearer: bearerOf(headers.authorization),
    verdict,
    hostText: formatAuthority(authority.host, authority.port),
    localPort: socket.localPort,
    async connection() {
      const peer = parseIp(socket.remoteAddress ?? '');
      const { facts, isTrusted } = forwardingOf(request, listener, policy, peer);
      return {
        listener: listener.kind,
        ...(listener.declaredPublic ? { declaredPublic: true } : {}),
        peer: peer ? { address: peer.text } : undefined,
        local: localOf(socket),
        peerUid: await peerOwner(socket, peers),
        tls: listener.tls,
        host: verdict.host,
        hostIsLoopback: isLoopbackHost(authority),
        origin: verdict.origin,
        forwarding: facts,
        peerIsTrustedProxy: isTrusted,
      };
    },
  });
}

const bad = (status: BadRequest['status'], message: string): Result<never, BadRequest> => err({ status, message });

function repeated(raw: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase();
    if (!SINGLE.includes(name)) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

/** A password may hold spaces and commas, and be sent as UTF-8, which Node hands over byte by byte. */
function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_BEARER + 16) return undefined;
  const sent = /^bearer +(\S(?:.*\S)?) *$/i.exec(header)?.[1];
  if (sent === undefined || !/[\x80-\xff]/.test(sent)) return sent;
  const text = Buffer.from(sent, 'latin1').toString('utf8');
  return text.includes('\ufffd') ? sent : text;
}

function localOf(socket: Socket): ConnectionFacts['local'] {
  const ip = parseIp(socket.localAddress ?? '');
  return ip && socket.localPort !== undefined ? { address: ip.text, port: socket.localPort } : undefined;
}

const LOOPBACK = cidrs('127.0.0.0/8', '::1');

function forwardingOf(
  request: IncomingMessage,
  listener: ListenerFacts,
  policy: FactsPolicy,
  peer: IpAddress | undefined,
): { facts: ForwardingFacts; isTrusted: boolean } {
  const { headers } = request;
  const names = forwardingHeaders(headers);
  // Tailscaled stands behind the `serve` listener, which is loopback or a unix socket: its word on the client is taken like a listed proxy's.
  const from = peer ?? (listener.kind === 'serve' ? parseIp('127.0.0.1') : undefined);
  if (!from) return { facts: names.length === 0 ? NO_FORWARDING : { present: true, names, funnel: isFunnel(headers) }, isTrusted: false };
  const trusted = listener.kind === 'serve' ? [...policy.trustedProxies, ...LOOPBACK] : policy.trustedProxies;
  const found = forwarding({
    peer: from,
    headers,
    trusted,
    ...(policy.allowRealIp === undefined ? {} : { allowRealIp: policy.allowRealIp }),
  });
  const isTrusted = found.isTrusted && listener.kind !== 'serve';
  if (names.length === 0) return { facts: NO_FORWARDING, isTrusted };
  const login = headers['tailscale-user-login'];
  const user = isTrusted ? proxyUser(headers, policy.proxyIdentity) : undefined;
  return {
    isTrusted,
    facts: {
      present: true,
      names,
      funnel: isFunnel(headers),
      ...(found.isTrusted && found.source !== 'peer' ? { client: found.client.text } : {}),
      ...(typeof login === 'string' ? { tailscaleLogin: login } : {}),
      ...(user === undefined ? {} : { proxyUser: user }),
    },
  };
}

const isFunnel = (headers: IncomingMessage['headers']): boolean => headers['tailscale-funnel-request'] !== undefined;

function proxyUser(headers: IncomingMessage['headers'], policy: FactsPolicy['proxyIdentity']): string | undefined {
  if (!policy || policy.requiredHeaders.some((name) => headers[name.toLowerCase()] === undefined)) return undefined;
  const user = headers[policy.userHeader.toLowerCase()];
  // Two values come joined by a comma: no telling whose they are.
  return typeof user === 'string' && user !== '' && !user.includes(',') ? user : undefined;
}

const owners = new WeakMap<Socket, Promise<PeerOwner>>();

/**
 * Who holds the other end, looked up once per TCP connection. Call it when the connection is accepted: the answer takes about 5 ms, which then pass
 * while the request is still being read. Only loopback peers are worth the look.
 */
export function peerOwner(socket: Socket, { read, ownUid }: PeerLookup): Promise<PeerOwner> {
  const known = owners.get(socket);
  if (known) return known;
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  const peer = parseIp(remoteAddress ?? '');
  const answer: Promise<PeerOwner> =
    peer && isLoopback(peer)
      ? read({ remoteAddress, remotePort, localAddress, localPort }).then((found) => {
          if (found.kind !== 'uid') return { kind: found.kind };
          return { kind: found.uid === ownUid ? 'own' : 'other', uid: found.uid };
        })
      : Promise.resolve({ kind: 'unknown' });
  owners.set(socket, answer);
  return answer;
}
