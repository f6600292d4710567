import { networkInterfaces } from 'node:os';
import { parseIp } from './addresses.ts';

/** One address of one interface of this host. */
export interface InterfaceAddress {
  readonly name: string;
  /** Canonical text. */
  readonly address: string;
  readonly internal: boolean;
}

/** What the operating system has right now, in its order. */
export function listInterfaces(): readonly InterfaceAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).flatMap(({ address, internal }) => {
      const ip = parseIp(address);
      return ip ? [{ name, address: ip.text, internal }] : [];
    }),
  );
}
