import { type IpAddress, isLoopback, parseIp } from './addresses.ts';

/** `host[:port]` of a Host header or a URL, taken apart. */
export interface Authority {
  /** Lower case, no brackets, no trailing dot; an address in its canonical text. Only characters of `[a-z0-9._:-]`: safe to print. */
  readonly host: string;
  /** Set when the host is an address literal. */
  readonly ip: IpAddress | undefined;
  /** 1–65535; undefined when none was written. */
  readonly port: number | undefined;
}

/** Of an Origin header or of an entry of `allowedOrigins`. `port` is the scheme's own when none was written; undefined where the scheme has none. */
export interface Origin {
  readonly scheme: string;
  readonly host: string;
  readonly port: number | undefined;
}

const MAX_AUTHORITY = 300;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const PORT = /^[1-9]\d{0,4}$/;
/** A last label that is a number makes other parsers read the whole as an IPv4 address (`127.1`, `0x7f000001`, `1.2.3.04`). */
const NUMERIC = /^(?:\d+|0x[0-9a-f]*)$/;

/**
 * Total. Undefined for anything but a plain name or address with an optional port: userinfo, percent signs, zone ids, spaces, lists,
 * port 0, an empty port and names that another parser would read as a number are refused.
 */
export function parseAuthority(text: string): Authority | undefined {
  if (text.length === 0 || text.length > MAX_AUTHORITY) return undefined;
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    const inner = text.slice(1, close);
    if (close < 0 || inner.includes('%') || !inner.includes(':')) return undefined;
    const ip = parseIp(inner);
    return ip && withPort(ip.text, ip, text.slice(close + 1));
  }
  const colon = text.indexOf(':');
  const name = (colon < 0 ? text : text.slice(0, colon)).toLowerCase().replace(/\.$/, '');
  const ip = parseIp(name);
  if (!ip && !isName(name)) return undefined;
  return withPort(name, ip, colon < 0 ? '' : text.slice(colon));
}

function withPort(host: string, ip: IpAddress | undefined, rest: string): Authority | undefined {
  if (rest === '') return { host, ip, port: undefined };
  if (!rest.startsWith(':') || !PORT.test(rest.slice(1))) return undefined;
  const port = Number(rest.slice(1));
  return port <= 65535 ? { host, ip, port } : undefined;
}

function isName(name: string): boolean {
  if (name.length > 253) return false;
  const labels = name.split('.');
  return labels.every((label) => LABEL.test(label)) && !NUMERIC.test(labels.at(-1) ?? '');
}

/** Text for a URL: an IPv6 address in brackets, the port when there is one. */
export function formatAuthority(host: string, port?: number): string {
  const bare = host.includes(':') ? `[${host}]` : host;
  return port === undefined ? bare : `${bare}:${port}`;
}

/**
 * `localhost`, 127/8 and ::1. Not `*.localhost`: a browser keeps such names on this machine, but a system resolver may ask the network
 * for them, and this answer also decides where a credential may travel unencrypted.
 */
export function isLoopbackHost(authority: Pick<Authority, 'host' | 'ip'>): boolean {
  return authority.ip ? isLoopback(authority.ip) : authority.host === 'localhost';
}

const DEFAULT_PORT: Readonly<Record<string, number>> = { http: 80, https: 443, ws: 80, wss: 443 };
const ORIGIN = /^([a-z][a-z0-9+.-]{0,30}):\/\/([^/?#\\@\s]+)$/i;

/**
 * Total. `https://claw.example` → `{https, claw.example, 443}`. Undefined for `null`, a list, a path (even `/`), userinfo, and all else that is
 * not one serialised origin.
 */
export function originOf(text: string): Origin | undefined {
  const match = text.length <= MAX_AUTHORITY ? ORIGIN.exec(text) : null;
  const authority = match && parseAuthority(match[2] ?? '');
  if (!match || !authority) return undefined;
  const scheme = (match[1] ?? '').toLowerCase();
  return { scheme, host: authority.host, port: authority.port ?? DEFAULT_PORT[scheme] };
}

export const sameOrigin = (a: Origin, b: Origin): boolean => a.scheme === b.scheme && a.host === b.host && a.port === b.port;
