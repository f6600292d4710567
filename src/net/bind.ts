import { classify, type IpAddress, isLoopback, isTailnet, parseIp } from './addresses.ts';
import type { InterfaceAddress } from './interfaces.ts';

export const BIND_MODES = ['loopback', 'lan', 'tailnet', 'custom', 'auto'] as const;
export type BindMode = (typeof BIND_MODES)[number];

export interface BindWish {
  readonly mode: BindMode;
  /** `gateway.customBindHost`. */
  readonly customHost?: string | undefined;
  /** 0 asks the system for a free one. */
  readonly port: number;
  readonly interfaces: readonly InterfaceAddress[];
}

export interface BindAddress {
  readonly host: string;
  /** Whether starting without it is a failure. `::1` is not required: a machine without IPv6 still has a loopback. */
  readonly required: boolean;
}

/** Where to listen: exactly there, or nowhere. A plan never widens and never falls back to another interface. */
export type BindPlan =
  | { readonly kind: 'listen'; readonly addresses: readonly BindAddress[]; readonly port: number }
  | { readonly kind: 'wait'; readonly for: 'tailnet address'; readonly port: number }
  | { readonly kind: 'refuse'; readonly code: string; readonly why: string; readonly fix: string };

/**
 * `loopback` and `auto`: 127.0.0.1, and ::1 where the machine has it. `lan`: 0.0.0.0 and no `::`, because a home router hides IPv4 hosts from the
 * internet and often not IPv6 ones. `tailnet`: the tailnet addresses only, not loopback. `custom`: that one address.
 */
export function planBind({ mode, customHost, port, interfaces }: BindWish): BindPlan {
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    return refuse('BIND_PORT_INVALID', `gateway.port must be 1–65535, not ${port}`, 'openclaw config set gateway.port 18789');
  }
  switch (mode) {
    case 'auto':
    case 'loopback':
      return listen(port, '127.0.0.1', ...(interfaces.some(({ address }) => address === '::1') ? ['::1'] : []));
    case 'lan':
      return listen(port, '0.0.0.0');
    case 'tailnet': {
      const found = tailnetAddresses(interfaces);
      return found.length > 0 ? listen(port, ...found) : { kind: 'wait', for: 'tailnet address', port };
    }
    case 'custom':
      return planCustom(customHost, port);
  }
}

function planCustom(customHost: string | undefined, port: number): BindPlan {
  const fix = 'openclaw config set gateway.customBindHost 192.168.1.10';
  const path = 'gateway.customBindHost';
  if (!customHost?.trim()) return refuse('BIND_CUSTOM_MISSING', `gateway.bind is "custom" but ${path} is not set`, fix);
  const ip = parseIp(customHost);
  // Only the canonical spelling: `::ffff:10.0.0.1` or `FE80::1` would be shown in one form and compared in another.
  if (!ip || ip.text !== customHost) {
    const meant = ip ? `; write it as ${ip.text}` : ', which is not an IP address';
    return refuse(
      'BIND_CUSTOM_INVALID',
      `${path} is ${JSON.stringify(customHost)}${meant}`,
      ip ? `openclaw config set ${path} ${ip.text}` : fix,
    );
  }
  const kind = classify(ip);
  if (kind === 'multicast' || ip.text === '255.255.255.255') {
    return refuse('BIND_CUSTOM_INVALID', `${path} ${ip.text} is no address of a host`, fix);
  }
  if (ip.family === 6 && kind === 'link-local') {
    return refuse('BIND_CUSTOM_INVALID', `${path} ${ip.text} is a link-local IPv6 address, which means nothing without its interface`, fix);
  }
  return listen(port, ip.text);
}

const refuse = (code: string, why: string, fix: string): BindPlan => ({ kind: 'refuse', code, why, fix });

const listen = (port: number, ...hosts: readonly string[]): BindPlan => ({
  kind: 'listen',
  port,
  addresses: hosts.map((host, index) => ({ host, required: index === 0 })),
});

/** How Tailscale names its interface on Linux and Windows; macOS calls every tunnel `utunN`. */
const TAILSCALE_INTERFACE = /^(?:tailscale|utun)/i;

/**
 * The tailnet IPv4 of this host and, on the same interface, its tailnet IPv6. An internet provider may hand out 100.64/10 too, so an
 * interface that looks like Tailscale's, by name or by an address of `fd7a:115c:a1e0::/48`, comes before one that merely has such an address.
 */
export function tailnetAddresses(interfaces: readonly InterfaceAddress[]): readonly string[] {
  const candidates = interfaces.flatMap((entry) => {
    const ip = entry.internal ? undefined : parseIp(entry.address);
    return ip && isTailnet(ip) ? [{ name: entry.name, ip }] : [];
  });
  const v6Of = (name: string): IpAddress | undefined => candidates.find((c) => c.name === name && c.ip.family === 6)?.ip;
  const v4 = candidates.filter((c) => c.ip.family === 4);
  const best = v4.find((c) => v6Of(c.name) !== undefined || TAILSCALE_INTERFACE.test(c.name)) ?? v4[0];
  if (!best) return candidates.slice(0, 1).map((c) => c.ip.text);
  const v6 = v6Of(best.name);
  return v6 ? [best.ip.text, v6.text] : [best.ip.text];
}

/** Whether another machine can reach what this plan opens. A wait for a tailnet address is one in the making. */
export function isReachableFromElsewhere(plan: BindPlan): boolean {
  if (plan.kind === 'wait') return true;
  if (plan.kind === 'refuse') return false;
  return plan.addresses.some(({ host }) => {
    const ip = parseIp(host);
    return !ip || !isLoopback(ip);
  });
}

/** The address a client on this very machine dials: the first of the plan, a wildcard as loopback. Undefined while nothing listens. */
export function localDialHost(plan: BindPlan): string | undefined {
  const first = plan.kind === 'listen' ? plan.addresses[0]?.host : undefined;
  if (first === '0.0.0.0') return '127.0.0.1';
  return first === '::' ? '::1' : first;
}
