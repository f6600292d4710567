import { readdir, readlink } from 'node:fs/promises';
import { type IpAddress, parseIp } from './addresses.ts';
import { isAmbiguousUid, type SocketEnds } from './peer-uid.ts';
import { type ListeningSocket, listeningSockets } from './port-holder.ts';
import { parseProcRow, procEndpoint, procLines } from './proc-net.ts';

/** Whose process has to be at the other end of a connection on this machine. */
export interface Holder {
  /** This one and no other; 0 is nobody's. Absent: any of `uids`. */
  readonly pid?: number;
  readonly uids: readonly number[];
  /** Where `pid` says that it listens: counts only where its descriptors are hidden from us. */
  readonly port?: number;
}

/** `wrong` is certain. `unknown`: this system does not tell. */
export type Verdict = 'right' | 'wrong' | 'nobody' | 'unknown';

/** Who listens there now. That may change before a connection is made: ask `peerIs` about that one before a secret leaves. Never rejects. */
export async function listenerIs(host: string, port: number, wanted: Holder): Promise<Verdict> {
  if (process.platform !== 'linux')
    return wanted.pid === undefined ? 'unknown' : wanted.pid > 0 && wanted.port === port ? 'right' : 'wrong';
  try {
    const sockets = await listeningSockets(host, port);
    if (sockets.length === 0) return 'nobody';
    const verdicts = await Promise.all(sockets.map((socket) => judge(socket, port, wanted)));
    return verdicts.includes('right') ? 'right' : 'wrong';
  } catch {
    return 'unknown';
  }
}

/** Who is at the other end of this connection, once the other side has taken it. Never rejects. */
export async function peerIs(ends: SocketEnds, wanted: Holder): Promise<Verdict> {
  if (wanted.pid === 0) return 'wrong';
  if (process.platform !== 'linux') return 'unknown';
  const [peer, own] = [endpoint(ends.remoteAddress, ends.remotePort), endpoint(ends.localAddress, ends.localPort)];
  if (peer === undefined || own === undefined) return 'wrong';
  try {
    // The kernel may skip a row when its neighbour goes away between two reads.
    const socket = (await rowOf(peer, own)) ?? (await rowOf(peer, own));
    return socket === undefined ? 'wrong' : await judge(socket, peer.port, wanted);
  } catch {
    return 'unknown';
  }
}

async function judge({ uid, inode }: ListeningSocket, port: number, wanted: Holder): Promise<'right' | 'wrong'> {
  if (!wanted.uids.includes(uid) || isAmbiguousUid(uid)) return 'wrong';
  if (wanted.pid === undefined) return 'right';
  return ((await holds(wanted.pid, inode)) ?? wanted.port === port) ? 'right' : 'wrong';
}

/** Undefined for a process of ours that may not be looked at (one that was started with capabilities). */
async function holds(pid: number, inode: number): Promise<boolean | undefined> {
  const folder = `/proc/${pid}/fd`;
  try {
    for (const fd of await readdir(folder)) {
      if ((await readlink(`${folder}/${fd}`).catch(() => '')) === `socket:[${inode}]`) return true;
    }
    return false;
  } catch (thrown) {
    return /^(EACCES|EPERM)$/.test(String((thrown as NodeJS.ErrnoException).code)) ? undefined : false;
  }
}

interface End {
  readonly ip: IpAddress;
  readonly port: number;
}

function endpoint(address: string | undefined, port: number | undefined): End | undefined {
  const ip = address === undefined ? undefined : parseIp(address);
  return ip && port !== undefined ? { ip, port } : undefined;
}

/** The peer's own row has our remote end as its local one. */
async function rowOf(peer: End, own: End): Promise<ListeningSocket | undefined> {
  for (const file of peer.ip.family === 4 ? (['tcp', 'tcp6'] as const) : (['tcp6'] as const)) {
    const key = `${procEndpoint(peer, file)} ${procEndpoint(own, file)}`;
    for await (const lines of procLines(`/proc/self/net/${file}`)) {
      for (const line of lines) {
        if (!line.includes(key)) continue;
        const row = parseProcRow(line);
        if (row?.key === key && row.inode !== 0) return row;
      }
    }
  }
  return undefined;
}
