import { open } from 'node:fs/promises';
import { endianness } from 'node:os';
import type { IpAddress } from './addresses.ts';

/** One end of a TCP socket. */
export interface Endpoint {
  readonly ip: IpAddress;
  readonly port: number;
}

/** One row of `/proc/net/tcp` or `tcp6`: `  12: 0100007F:C350 0100007F:4965 01 … uid timeout inode …`. */
export interface ProcRow {
  /** Both ends as the kernel prints them, one space between. */
  readonly key: string;
  readonly local: string;
  /** Two hex digits: `01` established, `0A` listening, `06` time-wait. */
  readonly state: string;
  readonly uid: number;
  /** 0 when no process holds the socket any more. */
  readonly inode: number;
}

const LITTLE = endianness() === 'LE';

/** An end in the kernel's spelling: each 32-bit word of the address in *host* byte order, then the port. `127.0.0.1:80` → `0100007F:0050`. */
export function procEndpoint({ ip, port }: Endpoint, file: 'tcp' | 'tcp6'): string {
  // An IPv4 peer may use a dual-stack socket, which the kernel then lists in tcp6 under its mapped address.
  const bytes = file === 'tcp6' && ip.family === 4 ? [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...ip.bytes] : ip.bytes;
  let hex = '';
  for (let word = 0; word < bytes.length; word += 4) {
    const four = bytes.slice(word, word + 4);
    for (const byte of LITTLE ? four.reverse() : four) hex += byte.toString(16).padStart(2, '0');
  }
  return `${hex}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
}

/** Total: undefined for the header line and for anything that is not a row. */
export function parseProcRow(line: string): ProcRow | undefined {
  const columns = line.trim().split(/\s+/, 10);
  const [slot, local, remote, state, , , , uid, , inode] = columns;
  if (!slot?.endsWith(':') || !local || !remote || !state || !uid || !inode) return undefined;
  return { key: `${local} ${remote}`, local, state, uid: Number(uid), inode: Number(inode) };
}

/**
 * The lines of a `/proc` table as they are read, so that a caller may stop early. The kernel hands out 4 KiB a read: with 5 000 connections the
 * table is 1.5 MB and takes some 35 ms, none of which blocks the event loop; an empty one still takes about 4 ms, as the kernel walks its hash table.
 */
export async function* procLines(path: string): AsyncGenerator<readonly string[]> {
  const file = await open(path);
  try {
    const buffer = Buffer.allocUnsafe(16 * 1024);
    let rest = '';
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) break;
      const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n');
      rest = lines.pop() ?? '';
      yield lines;
    }
    if (rest) yield [rest];
  } finally {
    await file.close();
  }
}
