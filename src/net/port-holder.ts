import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseIp } from './addresses.ts';
import { parseProcRow, procEndpoint, procLines } from './proc-net.ts';

/** Who listens on a port, as far as this user may know. */
export interface PortHolder {
  readonly uid: number;
  /** Undefined when the process belongs to somebody else. */
  readonly pid: number | undefined;
  /** Program and script by their base names; never its arguments, which may hold a secret. */
  readonly command: string | undefined;
}

/** `pid 4242 (node server.js, uid 1000)`. */
export function describeHolder({ pid, command, uid }: PortHolder): string {
  return pid === undefined ? `a process of uid ${uid}` : `pid ${pid} (${command ? `${command}, ` : ''}uid ${uid})`;
}

/** A process table larger than this is not searched to its end. */
const MAX_PIDS = 4096;
const MAX_FDS = 4096;

/** Best effort, Linux only, for an error text: undefined when it cannot be told. Never rejects. */
export async function portHolder(host: string, port: number): Promise<PortHolder | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    const [socket] = await listeningSockets(host, port);
    if (!socket) return undefined;
    const pid = await pidOfInode(socket.inode);
    return { uid: socket.uid, pid, command: pid === undefined ? undefined : await commandOf(pid) };
  } catch {
    return undefined;
  }
}

export interface ListeningSocket {
  readonly uid: number;
  readonly inode: number;
}

/** All that could take a connection to that address (Linux). Rejects when the kernel's tables cannot be read. */
export async function listeningSockets(host: string, port: number): Promise<readonly ListeningSocket[]> {
  const ip = parseIp(host);
  if (!ip) return [];
  const found: ListeningSocket[] = [];
  // A listener on the wildcard of either family holds the port of every address.
  const hosts = [ip, parseIp('0.0.0.0'), parseIp('::')].filter((candidate) => candidate !== undefined);
  for (const file of ['tcp', 'tcp6'] as const) {
    const wanted = new Set(
      hosts.filter(({ family }) => family === 4 || file === 'tcp6').map((each) => procEndpoint({ ip: each, port }, file)),
    );
    for await (const lines of procLines(`/proc/self/net/${file}`)) {
      for (const line of lines) {
        const row = parseProcRow(line);
        if (row?.state === '0A' && wanted.has(row.local)) found.push(row);
      }
    }
  }
  return found;
}

async function pidOfInode(inode: number): Promise<number | undefined> {
  const link = `socket:[${inode}]`;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).slice(0, MAX_PIDS);
  for (const pid of pids) {
    const folder = `/proc/${pid}/fd`;
    const fds = await readdir(folder).catch(() => []);
    for (const fd of fds.slice(0, MAX_FDS)) {
      if ((await readlink(`${folder}/${fd}`).catch(() => '')) === link) return Number(pid);
    }
  }
  return undefined;
}

async function commandOf(pid: number): Promise<string | undefined> {
  const [program, script] = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  if (!program) return undefined;
  const words = [basename(program), ...(script && !script.startsWith('-') && script.includes('/') ? [basename(script)] : [])];
  return words
    .join(' ')
    .replace(/[\p{C}]/gu, '?')
    .slice(0, 80);
}
