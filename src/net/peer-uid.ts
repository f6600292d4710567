import { readFileSync } from 'node:fs';
import { parseIp } from './addresses.ts';
import { type Endpoint, parseProcRow, procEndpoint } from './proc-net.ts';
import { ProcTable } from './proc-table.ts';

/** The four facts of an accepted TCP socket, as `net.Socket` names them. */
export interface SocketEnds {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/**
 * Who holds the other end of a loopback connection. `missing`: this system can tell and did not find a living owner, so the peer is *not*
 * our own. `unknown`: this system cannot tell (not Linux).
 */
export type PeerUid = { readonly kind: 'uid'; readonly uid: number } | { readonly kind: 'missing' } | { readonly kind: 'unknown' };

export type PeerUidReader = (ends: SocketEnds) => Promise<PeerUid>;

/**
 * States in which a process may hold the socket: established, fin-wait-1, fin-wait-2, close-wait. Time-wait rows name uid 0
 * whoever it was, and would make everybody root.
 */
const HELD: ReadonlySet<string> = new Set(['01', '04', '05', '08']);
const MISSING: PeerUid = { kind: 'missing' };

interface Query {
  readonly keys: Readonly<Record<'tcp' | 'tcp6', string>>;
  readonly isIpv4: boolean;
  readonly settle: (answer: PeerUid) => void;
  /** Full looks through the tables so far. */
  looks: number;
}

/** The kernel may skip a row when its neighbour in the table goes away between two reads: who is not found once is looked for again. */
const LOOKS = 2;
/** Longest pause between two looks, ms. */
const MAX_PAUSE_MS = 10;

/**
 * Reads owners from `/proc/net/tcp` and `tcp6`. Nothing is cached: a port may have another owner a moment later. Instead all questions asked
 * while a read is under way share the next one, which begins after they were asked; so a thousand connections at once cost one or two reads,
 * not a thousand. Never rejects. Ask as soon as the connection is accepted: the answer takes about 5 ms.
 */
export function peerUidReader(options: { readonly platform?: string; readonly procNet?: string } = {}): PeerUidReader {
  const { platform = process.platform, procNet = '/proc/self/net' } = options;
  if (platform !== 'linux') return async () => ({ kind: 'unknown' });
  const tables = { tcp: new ProcTable(`${procNet}/tcp`), tcp6: new ProcTable(`${procNet}/tcp6`) };
  const waiting: Query[] = [];
  let reading = false;

  const drain = async (): Promise<void> => {
    if (reading) return;
    reading = true;
    while (waiting.length > 0) {
      const began = performance.now();
      for (const query of await look(waiting.splice(0), tables)) {
        // Together with what was asked meanwhile: somebody who hung up, and will not be found, keeps nobody waiting.
        if (++query.looks < LOOKS) waiting.push(query);
        else query.settle(MISSING);
      }
      // The kernel walks its whole table each time: in a crowd at most half of a core does that, and more share a walk.
      await new Promise((resolve) => setTimeout(resolve, Math.min(performance.now() - began, MAX_PAUSE_MS)));
    }
    reading = false;
  };

  return (ends) => {
    const keys = keysOf(ends);
    if (!keys) return Promise.resolve(MISSING);
    return new Promise((settle) => {
      waiting.push({ ...keys, settle, looks: 0 });
      void drain();
    });
  };
}

/** The peer's own row has our remote end as its local one. */
function keysOf(ends: SocketEnds): Pick<Query, 'keys' | 'isIpv4'> | undefined {
  const peer = endpoint(ends.remoteAddress, ends.remotePort);
  const own = endpoint(ends.localAddress, ends.localPort);
  if (!peer || !own || peer.ip.family !== own.ip.family) return undefined;
  const key = (file: 'tcp' | 'tcp6'): string => `${procEndpoint(peer, file)} ${procEndpoint(own, file)}`;
  return { keys: { tcp: key('tcp'), tcp6: key('tcp6') }, isIpv4: peer.ip.family === 4 };
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint | undefined {
  const ip = address === undefined ? undefined : parseIp(address);
  return ip && port !== undefined ? { ip, port } : undefined;
}

type Tables = Readonly<Record<'tcp' | 'tcp6', ProcTable>>;

/** One look through both tables; who was not found. */
async function look(queries: readonly Query[], tables: Tables): Promise<readonly Query[]> {
  const notIn4 = await answerFrom(
    tables.tcp,
    'tcp',
    queries.filter(({ isIpv4 }) => isIpv4),
  );
  return answerFrom(tables.tcp6, 'tcp6', [...notIn4, ...queries.filter(({ isIpv4 }) => !isIpv4)]);
}

/** Settles what the table answers; returns the rest. */
async function answerFrom(table: ProcTable, file: 'tcp' | 'tcp6', queries: readonly Query[]): Promise<readonly Query[]> {
  if (queries.length === 0) return queries;
  const open = Map.groupBy(queries, (query) => query.keys[file]);
  const keyLength = queries[0]?.keys[file].length ?? 0;
  await table.read((row) => {
    // Cut the key out before anything else is parsed: nearly every row is somebody else's.
    const start = row.indexOf(': ') + 2;
    const asked = open.get(row.slice(start, start + keyLength));
    if (!asked) return true;
    const parsed = parseProcRow(row);
    if (!parsed || parsed.inode === 0 || !HELD.has(parsed.state)) return true;
    open.delete(parsed.key);
    for (const query of asked) query.settle(isAmbiguousUid(parsed.uid) ? MISSING : { kind: 'uid', uid: parsed.uid });
    return open.size > 0;
  });
  return [...open.values()].flat();
}

let mapsAllUsers: boolean | undefined;
/**
 * Inside a user namespace every user it does not know is shown as the overflow uid: two different people may look alike, and like
 * ourselves. Outside of one that number is an ordinary user.
 */
export function isAmbiguousUid(uid: number): boolean {
  if (uid !== 65534) return false;
  try {
    mapsAllUsers ??= /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'));
  } catch {
    mapsAllUsers = false;
  }
  return !mapsAllUsers;
}
