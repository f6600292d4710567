import { type Cidr, type IpAddress, inAnyCidr, parseIp } from './addresses.ts';
import { parseAuthority } from './hosts.ts';

/** Headers as Node gives them: lower-case names, duplicates joined by `, ` or listed. */
export type HeaderMap = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface Forwarding {
  /** Names of the forwarding headers present, lower case, at most 16. Their mere presence makes a request not local. */
  readonly present: readonly string[];
  /** The peer is a listed proxy. */
  readonly isTrusted: boolean;
  /** Whom to count and to log: the right-most untrusted address from a trusted proxy, else the peer itself. */
  readonly client: IpAddress;
  readonly source: 'peer' | 'x-forwarded-for' | 'forwarded' | 'x-real-ip';
  /** Why a trusted proxy's headers were not believed; the client is then the proxy. */
  readonly problem: string | undefined;
}

const MAX_PRESENT = 16;
/** A longer chain or a longer text is somebody's padding. */
const MAX_HOPS = 32;
const MAX_TEXT = 4096;

const isForwarding = (name: string): boolean =>
  name === 'forwarded' || name === 'x-real-ip' || name.startsWith('x-forwarded') || name.startsWith('cf-') || name.startsWith('tailscale-');

/** `Forwarded`, `X-Forwarded-*`, `X-Real-IP`, `CF-*`, `Tailscale-*`: the names of those present, even when empty. */
export function forwardingHeaders(headers: HeaderMap): readonly string[] {
  const found: string[] = [];
  for (const name of Object.keys(headers)) {
    if (headers[name] !== undefined && isForwarding(name.toLowerCase()) && found.push(name.toLowerCase()) >= MAX_PRESENT) break;
  }
  return found;
}

/** All values of one header in order of arrival, as one list; undefined when it is not there. */
function joined(headers: HeaderMap, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}

/**
 * `X-Forwarded-For` from left to right. An entry that is no address (`unknown`, `_hidden`, garbage) is undefined at its place. Ports are dropped.
 * Undefined as a whole when it is too long to be honest.
 */
export function parseForwardedFor(text: string): readonly (IpAddress | undefined)[] | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const entries = text.split(',');
  return entries.length > MAX_HOPS ? undefined : entries.map((entry) => nodeAddress(entry.trim()));
}

/** The `for=` of each element of a `Forwarded` header (RFC 7239), left to right; an element without a readable one is undefined at its place. */
export function parseForwarded(text: string): readonly (IpAddress | undefined)[] | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const elements = splitUnquoted(text, ',');
  if (!elements || elements.length > MAX_HOPS) return undefined;
  return elements.map((element) => {
    const pairs = (splitUnquoted(element, ';') ?? []).map((pair) => /^for\s*=\s*(?:"([^"\\]*)"|([^\s"]*))$/i.exec(pair.trim()));
    const fors = pairs.filter((match) => match !== null);
    // Two `for` in one element: no telling which the proxy wrote.
    return fors.length === 1 ? nodeAddress(fors[0]?.[1] ?? fors[0]?.[2] ?? '') : undefined;
  });
}

/** Splits outside of double quotes; undefined when a quote stays open. */
function splitUnquoted(text: string, separator: string): string[] | undefined {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted && c === '\\') i++;
    else if (c === '"') quoted = !quoted;
    else if (c === separator && !quoted) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (quoted) return undefined;
  parts.push(text.slice(start));
  return parts;
}

/** `1.2.3.4`, `1.2.3.4:567`, `2001:db8::1`, `[2001:db8::1]:567`. */
const nodeAddress = (text: string): IpAddress | undefined => parseIp(text) ?? parseAuthority(text)?.ip;

export interface ForwardingFacts {
  readonly peer: IpAddress;
  readonly headers: HeaderMap;
  /** `gateway.trustedProxies`, parsed. */
  readonly trusted: readonly Cidr[];
  /** `gateway.allowRealIpFallback`. */
  readonly allowRealIp?: boolean;
}

/**
 * Whom a request comes from. A header of a peer that nobody listed changes nothing but `present`. Total.
 *
 * Where both `X-Forwarded-For` and `Forwarded` stand and disagree, one of them was passed through from the client and there is no telling which: neither counts.
 */
export function forwarding({ peer, headers, trusted, allowRealIp = false }: ForwardingFacts): Forwarding {
  const present = forwardingHeaders(headers);
  const base = { present, client: peer, source: 'peer', problem: undefined } as const;
  if (!inAnyCidr(peer, trusted)) return { ...base, isTrusted: false };

  const answers = [
    { source: 'x-forwarded-for', text: joined(headers, 'x-forwarded-for'), parse: parseForwardedFor },
    { source: 'forwarded', text: joined(headers, 'forwarded'), parse: parseForwarded },
  ] as const;
  const found = answers.flatMap(({ source, text, parse }) =>
    text === undefined ? [] : [{ source, client: rightMostUntrusted(parse(text) ?? [], trusted) }],
  );
  const [first, second] = found;
  if (!first) return allowRealIp ? fromRealIp(headers, base) : { ...base, isTrusted: true };
  if (!first.client) return { ...base, isTrusted: true, problem: `the proxy's ${first.source} header names no address` };
  if (second && second.client?.text !== first.client.text) {
    return { ...base, isTrusted: true, problem: 'X-Forwarded-For and Forwarded disagree; let the proxy remove the one it does not write' };
  }
  return { present, isTrusted: true, client: first.client, source: first.source, problem: undefined };
}

function fromRealIp(headers: HeaderMap, base: Omit<Forwarding, 'isTrusted'>): Forwarding {
  const text = joined(headers, 'x-real-ip');
  const client = text === undefined ? undefined : nodeAddress(text.trim());
  if (client) return { ...base, isTrusted: true, client, source: 'x-real-ip' };
  return { ...base, isTrusted: true, problem: text === undefined ? undefined : "the proxy's x-real-ip header names no address" };
}

/**
 * From the right, over the proxies we know, to the first address we do not. An unreadable hop ends the walk with nothing: what stands left of it was
 * written by somebody unknown. Where every hop is known, the left-most is the client.
 */
function rightMostUntrusted(hops: readonly (IpAddress | undefined)[], trusted: readonly Cidr[]): IpAddress | undefined {
  for (let i = hops.length - 1; i >= 0; i--) {
    const hop = hops[i];
    if (!hop || i === 0 || !inAnyCidr(hop, trusted)) return hop;
  }
  return undefined;
}
