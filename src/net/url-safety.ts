import { UserError } from '../lib/errors.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { type IpAddress, isPrivate, parseIp } from './addresses.ts';
import { type Authority, formatAuthority, isLoopbackHost, parseAuthority } from './hosts.ts';

/** Where a client may send its credentials. */
export interface Target {
  /** `ws://host:port/path`, canonical; `http` has become `ws`, `https` `wss`. Holds no userinfo and no fragment. */
  readonly url: string;
  readonly isSecure: boolean;
  readonly host: string;
  readonly ip: IpAddress | undefined;
  readonly port: number;
  /** Why plain `ws://` is allowed; `tls` when it is not plain. */
  readonly allowedAs: 'tls' | 'loopback' | 'own-address' | 'insecure-private';
}

export interface TargetRules {
  /** `OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1` in the client's process. */
  readonly allowInsecurePrivate: boolean;
  /** Addresses of this very host. Asked only when a plain address is not loopback, so that the usual call pays nothing. */
  readonly ownAddresses: () => readonly string[];
}

const SCHEMES: Readonly<Record<string, 'ws:' | 'wss:'>> = { ws: 'ws:', wss: 'wss:', http: 'ws:', https: 'wss:' };
const SHAPE = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)((?:\/[^?#]*)?)(\?[^#]*)?(#.*)?$/i;
const SECRET_KEY = /token|password|passwd|secret|auth|credential|apikey|api_key|^key$|^code$/i;

/**
 * Whether a client may open this URL, decided before a byte leaves. `wss:` always. Plain `ws:` only to loopback or to an address of this
 * very host; with `allowInsecurePrivate` to private address *literals* too. Not to names, which can be made to mean anything.
 * No error repeats what stood in the URL beside scheme, host and port: a pasted secret stays out of logs.
 */
export function checkTarget(text: string, rules: TargetRules): Result<Target, UserError> {
  const match = /[\s\\\p{C}]/u.test(text) ? null : SHAPE.exec(text);
  if (!match) return invalid('it is not a URL of the form ws://host:port or wss://host:port');
  const [, scheme = '', written = '', path = '', query, fragment] = match;
  const protocol = SCHEMES[scheme.toLowerCase()];
  if (!protocol) return invalid(`scheme "${scheme.slice(0, 20)}" is not one of ws, wss, http, https`);
  if (written.includes('@')) return invalid('it carries a user name or password before the host; pass --token or --password instead');
  if (fragment) return invalid('it carries a fragment (#…); pass --token or --password instead');
  if (query && hasSecret(query)) return invalid('its query carries a credential; pass --token or --password instead');

  // One reading of the host: what another parser might take for an address (127.1, 0x7f000001) is refused, not guessed at.
  const authority = parseAuthority(written);
  if (!authority) return invalid('its host is neither a plain name nor a plain IP address, or its port is not 1–65535');
  const isSecure = protocol === 'wss:';
  const port = authority.port ?? (isSecure ? 443 : 80);
  const allowedAs = isSecure ? 'tls' : plainAllowedAs(authority, rules);
  if (!allowedAs) return err(plaintextRefusal(authority, port, rules.allowInsecurePrivate));
  const url = `${protocol}//${formatAuthority(authority.host, port)}${path || '/'}${query ?? ''}`;
  // Whoever dials parses once more: both readings must name one host.
  if (URL.parse(url)?.hostname !== formatAuthority(authority.host)) return invalid('its host is not a valid name');
  return ok({ url, isSecure, host: authority.host, ip: authority.ip, port, allowedAs });
}

function plainAllowedAs(authority: Authority, rules: TargetRules): Exclude<Target['allowedAs'], 'tls'> | undefined {
  if (isLoopbackHost(authority)) return 'loopback';
  const { ip } = authority;
  if (!ip) return undefined;
  if (rules.ownAddresses().some((own) => parseIp(own)?.text === ip.text)) return 'own-address';
  return rules.allowInsecurePrivate && isPrivate(ip) ? 'insecure-private' : undefined;
}

function hasSecret(query: string): boolean {
  for (const key of new URLSearchParams(query).keys()) if (SECRET_KEY.test(key)) return true;
  return false;
}

const invalid = (why: string): Result<never, UserError> =>
  err(
    new UserError('URL_INVALID', `the gateway URL cannot be used: ${why}`, {
      fix: 'openclaw health --url ws://127.0.0.1:18789 --token <token>',
    }),
  );

/** Every safe way round, so that the reader has one that fits. */
function plaintextRefusal(authority: Authority, port: number, isBroken: boolean): UserError {
  const at = formatAuthority(authority.host, port);
  const tunnel = `ssh -N -L 18789:127.0.0.1:${port} user@${authority.host}`;
  const lines = [
    `SECURITY ERROR: refusing ws://${at}: without TLS, credentials and chat would be exposed to everybody on the way to "${authority.host}".`,
    'Safe ways to reach it:',
    `  - TLS: use wss://${formatAuthority(authority.host)}`,
    `  - SSH tunnel: ${tunnel}   then use ws://127.0.0.1:18789`,
    '  - Tailscale: run `openclaw gateway --tailscale serve` there (or Funnel, with a password), then use wss://<name>.<tailnet>.ts.net',
    ...breakGlass(authority, isBroken),
    'To see which hop fails: openclaw status --deep',
  ];
  return new UserError('SECURITY_PLAINTEXT', lines.join('\n'), { fix: tunnel });
}

function breakGlass({ ip }: Authority, isSet: boolean): string[] {
  if (!isSet) return ['  - Break glass, private addresses on a network you trust only: OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1'];
  const why = ip ? 'this address is not private' : 'a name can be made to point anywhere; give the private address itself';
  return [`OPENCLAW_ALLOW_INSECURE_PRIVATE_WS is set but does not cover this: ${why}.`];
}
