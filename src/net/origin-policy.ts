import { looksRandom } from '../lib/secret-shapes.ts';
import { hideInUrl, shownUrl } from '../lib/shown-url.ts';
import { parseIp } from './addresses.ts';
import { type Authority, formatAuthority, isLoopbackHost, type Origin, originOf, parseAuthority, sameOrigin } from './hosts.ts';

/** What the config and the machine say this gateway is called. */
export interface KnownNames {
  /** Our own MagicDNS name, as tailscaled reports it (a trailing dot is fine). */
  readonly magicDnsName?: string | undefined;
  readonly publicUrl?: string | undefined;
  /** `gateway.controlUi.allowedOrigins`, verbatim. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** DNS names and addresses of our own TLS certificate. */
  readonly certNames?: readonly string[] | undefined;
}

/** `KnownNames` parsed once per config snapshot, so that no request pays for it. */
export interface OriginPolicy {
  readonly hosts: ReadonlySet<string>;
  readonly origins: readonly Origin[];
  /** Entries that count for nothing, each with why and what to write instead. For the log, `status` and the audit. */
  readonly warnings: readonly { readonly value: string; readonly message: string }[];
}

/** The facts of one request. */
export interface OriginRequest {
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** The socket's own end: the address the caller reached. */
  readonly localAddress: string | undefined;
  /** The request came in over TLS: ours, or that of Tailscale Serve. Its own Origin is then `https:` only. */
  readonly secure?: boolean | undefined;
  /** The listener that only tailscaled reaches; there, and only there, `X-Forwarded-Host` is the name the browser used. */
  readonly isServeListener?: boolean | undefined;
  readonly xForwardedHost?: string | undefined;
}

export interface OriginVerdict {
  /** `unknown` is answered 421: a page that made a name of its own point here (DNS rebinding) lands on it. */
  readonly host: 'known' | 'unknown';
  /** `foreign` and `invalid` are refused alike; `invalid` is `null` or no origin at all in form. */
  readonly origin: 'absent' | 'pass' | 'foreign' | 'invalid';
  /** The config line that would admit what was refused; undefined when nothing was, or nothing could. */
  readonly fixLine: string | undefined;
}

/**
 * Parses what is known. `*` in `allowedOrigins` is ignored, with a warning: it would hand every page of the web the owner's browser,
 * and nobody who reaches the panel under its own address needs it, since a request's own known Host passes anyway.
 * Wildcard names of a certificate are ignored too: whoever holds a sibling name could point it here.
 */
export function originPolicy(known: KnownNames): OriginPolicy {
  const hosts = new Set<string>();
  const origins: Origin[] = [];
  const warnings: { value: string; message: string }[] = [];
  const warn = (value: string, message: string): void => void warnings.push({ value, message });
  const list = (origin: Origin): void => {
    origins.push(origin);
    // The host of `chrome-extension://…` is an id, not a name that a request could be addressed to.
    if (origin.scheme === 'http' || origin.scheme === 'https') hosts.add(origin.host);
  };

  for (const entry of known.allowedOrigins ?? []) {
    // People paste what the address bar shows; one slash at the end cannot mean anything else.
    const told = entry.includes('://') ? hideInUrl(entry, '') : looksRandom(entry) ? 'an entry' : entry;
    const origin = originOf(entry.trim().replace(/(?<=[^/])\/$/, ''));
    if (origin) list(origin);
    else if (entry.includes('*')) {
      warn(
        told,
        `gateway.controlUi.allowedOrigins: "${told}" is ignored: it would let any web page in. List each origin, e.g. "https://claw.example.com"`,
      );
    } else
      warn(
        told,
        `gateway.controlUi.allowedOrigins: "${told}" is not an origin. Write scheme://host[:port], e.g. "https://claw.example.com"`,
      );
  }
  if (known.publicUrl) {
    const origin = originOf(/^[^:/?#]+:\/\/[^/?#]*/.exec(known.publicUrl.trim())?.[0] ?? '');
    if (origin) list(origin);
    else warn(shownUrl(known.publicUrl), 'gateway.publicUrl is not a URL: write it as "https://claw.example.com"');
  }
  for (const name of [known.magicDnsName, ...(known.certNames ?? [])]) {
    const authority = name ? (parseIp(name) ? parseAuthority(formatAuthority(name)) : parseAuthority(name)) : undefined;
    if (authority && authority.port === undefined) hosts.add(authority.host);
  }
  return { hosts, origins, warnings };
}

/**
 * Whether the name a request was addressed to is ours, and whether the page that sent it may. Total and pure.
 *
 * A known Host is a loopback name or address (any port: a tunnel has its own), an address literal equal to the socket's local address,
 * or a name of `policy`. An Origin passes when it is listed, or when it is the request's own known Host, port and all.
 */
export function judgeOrigin(request: OriginRequest, policy: OriginPolicy): OriginVerdict {
  const named = request.isServeListener ? (request.xForwardedHost ?? request.host) : request.host;
  const own = named === undefined ? undefined : parseAuthority(named);
  const host = own && isKnown(own, request.localAddress, policy) ? 'known' : 'unknown';
  const origin = judge(request, host === 'known' ? own : undefined, policy);
  return { host, origin, fixLine: fixLine(request, own, host, origin) };
}

function isKnown(own: Authority, localAddress: string | undefined, policy: OriginPolicy): boolean {
  if (isLoopbackHost(own) || policy.hosts.has(own.host)) return true;
  return own.ip !== undefined && localAddress !== undefined && parseIp(localAddress)?.text === own.ip.text;
}

function judge(request: OriginRequest, own: Authority | undefined, policy: OriginPolicy): OriginVerdict['origin'] {
  if (request.origin === undefined) return 'absent';
  const origin = originOf(request.origin);
  if (!origin) return 'invalid';
  if (policy.origins.some((listed) => sameOrigin(listed, origin))) return 'pass';
  return own && isOwn(origin, own, request.secure === true) ? 'pass' : 'foreign';
}

/**
 * Over plain HTTP an `https:` page may be our own behind somebody's TLS proxy. Over TLS an `http:` page of the same name is *not* ours: whoever sits
 * on the network can make one.
 */
function isOwn(origin: Origin, own: Authority, secure: boolean): boolean {
  if (origin.scheme !== 'https' && (secure || origin.scheme !== 'http')) return false;
  const schemePort = origin.scheme === 'https' ? 443 : 80;
  return origin.host === own.host && origin.port === (own.port ?? schemePort);
}

function fixLine(
  request: OriginRequest,
  own: Authority | undefined,
  host: OriginVerdict['host'],
  verdict: OriginVerdict['origin'],
): string | undefined {
  if (host === 'unknown') {
    if (!own) return undefined;
    const scheme = request.secure ? 'https' : 'http';
    return `gateway.controlUi.allowedOrigins: ["${scheme}://${formatAuthority(own.host, own.port)}"]`;
  }
  const origin = verdict === 'foreign' && request.origin !== undefined ? originOf(request.origin) : undefined;
  if (!origin) return undefined;
  const isDefault = origin.port === (origin.scheme === 'https' ? 443 : origin.scheme === 'http' ? 80 : undefined);
  return `gateway.controlUi.allowedOrigins: ["${origin.scheme}://${formatAuthority(origin.host, isDefault ? undefined : origin.port)}"]`;
}
