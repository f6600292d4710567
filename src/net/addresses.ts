/**
 * The one parser of IP text. Everything that compares, classifies, masks or keys an address starts from `parseIp`, so that no two
 * places can read one string differently: `127.1`, `0x7f.1`, `2130706433` and `0127.0.0.1` are loopback to some C libraries
 * and are *no address at all* here.
 */

/** An address in canonical form. `::ffff:127.0.0.1` has become `127.0.0.1`; a zone id (`%eth0`) is gone. */
export interface IpAddress {
  readonly family: 4 | 6;
  /** Dotted quad, or RFC 5952 text (lower case, longest run of zeros shortened). Equal addresses have equal text. */
  readonly text: string;
  /** Network order; 4 or 16 numbers of 0–255. */
  readonly bytes: readonly number[];
}

/** A block of addresses, e.g. `10.0.0.0/8`. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly bytes: readonly number[];
  readonly prefix: number;
}

/**
 * What an address can reach. `public` is what is left over in the ranges handed out to the internet; all that is neither that nor
 * known (documentation, benchmarks, NAT64, 6to4, Teredo, ISATAP, future use) is `special`, so a range nobody thought of is never public.
 */
export type IpClass = 'loopback' | 'private' | 'cgnat' | 'link-local' | 'ula' | 'unspecified' | 'multicast' | 'special' | 'public';

/** Longest legal text: 45 characters of IPv6 with an embedded quad, plus a zone. Longer input is not looked at. */
const MAX_TEXT = 110;
const QUAD = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;
const GROUP = /^[0-9a-fA-F]{1,4}$/;
const ZONE = /^[0-9A-Za-z_.~-]{1,64}$/;

/** The last few: one connection is asked for its two addresses half a dozen times. */
const known = new Map<string, IpAddress>();
const KNOWN = 64;

/** Total: canonical address, or undefined for anything that is not one in strict form. Surrounding space is not an address. */
export function parseIp(text: string): IpAddress | undefined {
  const before = known.get(text);
  if (before !== undefined) return before;
  const address = parse(text);
  if (address === undefined) return undefined;
  if (known.size >= KNOWN) known.clear();
  known.set(text, address);
  return address;
}

function parse(text: string): IpAddress | undefined {
  if (text.length < 2 || text.length > MAX_TEXT) return undefined;
  if (!text.includes(':')) {
    const quad = parseQuad(text);
    return quad && fromBytes(quad);
  }
  const percent = text.indexOf('%');
  if (percent >= 0 && !ZONE.test(text.slice(percent + 1))) return undefined;
  const groups = parseGroups(percent < 0 ? text : text.slice(0, percent));
  return groups && fromBytes(groups);
}

function parseQuad(text: string): number[] | undefined {
  const match = QUAD.exec(text);
  if (!match) return undefined;
  const bytes: number[] = [];
  for (const part of match.slice(1)) {
    // A leading zero means octal to some parsers and decimal to others: refused, so that nobody has to guess.
    if (part.length > 1 && part.startsWith('0')) return undefined;
    const value = Number(part);
    if (value > 255) return undefined;
    bytes.push(value);
  }
  return bytes;
}

function parseGroups(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = halfBytes(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? halfBytes(halves[1] ?? '', true) : [];
  if (!head || !tail) return undefined;
  if (halves.length === 1) return head.length === 16 ? head : undefined;
  const zeros = 16 - head.length - tail.length;
  // `::` stands for at least one group.
  return zeros >= 2 ? [...head, ...new Array<number>(zeros).fill(0), ...tail] : undefined;
}

/** One side of `::` as bytes; the embedded quad may stand only at the very end of the address. */
function halfBytes(half: string, isEnd: boolean): number[] | undefined {
  if (half === '') return [];
  const parts = half.split(':');
  if (parts.length > 8) return undefined;
  const bytes: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (isEnd && index === parts.length - 1 && part.includes('.')) {
      const quad = parseQuad(part);
      if (!quad) return undefined;
      bytes.push(...quad);
    } else {
      if (!GROUP.test(part)) return undefined;
      const value = Number.parseInt(part, 16);
      bytes.push(value >> 8, value & 255);
    }
  }
  return bytes;
}

function fromBytes(bytes: readonly number[]): IpAddress {
  if (bytes.length === 4) return { family: 4, text: bytes.join('.'), bytes };
  if (isMapped(bytes)) return fromBytes(bytes.slice(12));
  return { family: 6, text: ipv6Text(bytes), bytes };
}

/** `::ffff:a.b.c.d`: the IPv4 address a dual-stack socket sees. */
const isMapped = (bytes: readonly number[]): boolean => bytes.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 255));

/** RFC 5952 §4: no leading zeros, lower case, `::` for the longest run of at least two zero groups, the first of equals. */
function ipv6Text(bytes: readonly number[]): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; ) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
    start = end + 1;
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start < 0) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}

/**
 * `10.0.0.0/8`, `fd00::/8` or a bare address (a block of one). Bits beyond the prefix are ignored. A mapped block is taken as the
 * IPv4 block it means; one that would hold more than the mapped range has no IPv4 meaning and is refused, as is a zone.
 */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const base = slash < 0 ? text : text.slice(0, slash);
  if (base.includes('%')) return undefined;
  const ip = parseIp(base);
  if (!ip) return undefined;
  if (slash < 0) return { family: ip.family, bytes: ip.bytes, prefix: ip.bytes.length * 8 };
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const wasMapped = ip.family === 4 && base.includes(':');
  const prefix = Number(digits) - (wasMapped ? 96 : 0);
  return prefix >= 0 && prefix <= ip.bytes.length * 8 ? { family: ip.family, bytes: ip.bytes, prefix } : undefined;
}

/** Whether `ip` lies in `cidr`. The families never match each other: a mapped address has become IPv4 already. */
export function inCidr(ip: IpAddress, cidr: Cidr): boolean {
  if (ip.family !== cidr.family) return false;
  const whole = cidr.prefix >> 3;
  for (let i = 0; i < whole; i++) if (ip.bytes[i] !== cidr.bytes[i]) return false;
  const rest = cidr.prefix & 7;
  if (rest === 0) return true;
  const mask = (0xff00 >> rest) & 255;
  return ((ip.bytes[whole] ?? 0) & mask) === ((cidr.bytes[whole] ?? 0) & mask);
}

/** Whether `ip` lies in one of them; an empty list holds nobody. */
export const inAnyCidr = (ip: IpAddress, cidrs: readonly Cidr[]): boolean => cidrs.some((cidr) => inCidr(ip, cidr));

/** Constant blocks of this file and its neighbours: a typo here is a bug, so it throws at load. */
export function cidrs(...texts: readonly string[]): readonly Cidr[] {
  return texts.map((text) => {
    const cidr = parseCidr(text);
    if (!cidr) throw new Error(`not a block of addresses: ${text}`);
    return cidr;
  });
}

// First match wins. IANA IPv4 and IPv6 special-purpose registries; what no row names is `special` in IPv6, `public` in IPv4.
const CLASSES: readonly (readonly [IpClass, readonly Cidr[]])[] = [
  ['unspecified', cidrs('0.0.0.0', '::')],
  ['loopback', cidrs('127.0.0.0/8', '::1')],
  ['private', cidrs('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16')],
  ['cgnat', cidrs('100.64.0.0/10')],
  ['link-local', cidrs('169.254.0.0/16', 'fe80::/10')],
  ['ula', cidrs('fc00::/7')],
  ['multicast', cidrs('224.0.0.0/4', 'ff00::/8')],
  [
    'special',
    cidrs(
      ...[
        '0.0.0.0/8',
        '192.0.0.0/24',
        '192.0.2.0/24',
        '192.88.99.0/24',
        '198.18.0.0/15',
        '198.51.100.0/24',
        '203.0.113.0/24',
        '240.0.0.0/4',
      ],
      // Teredo and the other protocol assignments; documentation; 6to4, which carries any IPv4 address inside.
      ...['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'],
    ),
  ],
  ['public', cidrs('0.0.0.0/0', '2000::/3')],
];

/** What the address can reach. Total. */
export function classify(ip: IpAddress): IpClass {
  for (const [name, blocks] of CLASSES) {
    if (inAnyCidr(ip, blocks)) return name === 'public' && isIsatap(ip) ? 'special' : name;
  }
  return 'special';
}

/** `…:0:5efe:a.b.c.d` and `…:200:5efe:a.b.c.d`: a tunnel to the IPv4 address inside, whatever the prefix. RFC 5214. */
const isIsatap = ({ family, bytes: b }: IpAddress): boolean =>
  family === 6 && ((b[8] ?? 0) & 0xfd) === 0 && b[9] === 0 && b[10] === 0x5e && b[11] === 0xfe;

export const isLoopback = (ip: IpAddress): boolean => classify(ip) === 'loopback';

const PRIVATE_CLASSES: ReadonlySet<IpClass> = new Set(['private', 'cgnat', 'link-local', 'ula']);
/** Addresses that no host of the internet has: RFC 1918, 100.64/10, link-local, ULA. Loopback is not among them. */
export const isPrivate = (ip: IpAddress): boolean => PRIVATE_CLASSES.has(classify(ip));

const TAILNET = cidrs('100.64.0.0/10', 'fd7a:115c:a1e0::/48');
/** Whether a tailnet hands out such addresses. (An internet provider may use 100.64/10 too: a hint, never an identity.) */
export const isTailnet = (ip: IpAddress): boolean => inAnyCidr(ip, TAILNET);

/**
 * Under which name an address is counted and limited: IPv4 whole, IPv6 by its /64, since one subscriber holds all of it. Text that is no address shares
 * one key, so that garbage cannot make fresh ones. `192.0.2.7` → `192.0.2.7`, `2001:db8::7` → `2001:db8::/64`.
 */
export function limiterKey(address: string | undefined): string {
  const ip = address === undefined ? undefined : parseIp(address);
  if (!ip) return 'unknown';
  return ip.family === 4 ? ip.text : `${ipv6Text([...ip.bytes.slice(0, 8), ...new Array<number>(8).fill(0)])}/64`;
}
