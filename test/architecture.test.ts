import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cycles, type Edge, importGraph, sourceFiles } from './support/import-graph.ts';

/**
 * The walls of the house: which room may import which, and why. docs/tour.md shows the rooms; a wall that is in the way
 * of something good is changed here, in a commit of its own that says why.
 */
interface Room {
  readonly room: string;
  /** Rooms, or paths inside one (`protocol/scopes` is that file or folder). `types:x` allows only what is erased. */
  readonly may: readonly string[];
  readonly because: string;
}

const FEATURE = ['lib', 'protocol', 'net', 'process'];

const ROOMS: readonly Room[] = [
  { room: 'lib', may: [], because: 'everybody stands on it; it can stand on nothing' },
  { room: 'protocol', may: ['lib'], because: 'the wire is read by servers, clients and browsers alike' },
  { room: 'files', may: ['lib'], because: 'what is private and durable on a disk is the same for everybody' },
  { room: 'config', may: ['lib', 'files', 'protocol/scopes'], because: 'a setting must not depend on the part that obeys it' },
  { room: 'net', may: ['lib'], because: 'addresses and sockets know nothing of who speaks over them' },
  { room: 'process', may: ['lib'], because: 'starting a program is the same for every feature' },
  {
    room: 'auth',
    may: ['lib', 'protocol', 'net'],
    because: 'who gets in is decided from facts that were handed over, with nothing else in reach',
  },
  { room: 'exposure', may: ['lib', 'net', 'process'], because: 'how others reach this gateway must not know what they do there' },
  { room: 'tunnel', may: ['lib', 'net', 'process'], because: 'how this machine reaches a gateway is the same for any client' },
  { room: 'agent', may: FEATURE, because: 'features meet in gateway/start, never each other' },
  { room: 'channels', may: FEATURE, because: 'features meet in gateway/start, never each other' },
  { room: 'nodes', may: FEATURE, because: 'features meet in gateway/start, never each other' },
  { room: 'browser', may: FEATURE, because: 'features meet in gateway/start, never each other' },
  {
    room: 'store',
    may: ['lib', 'files', 'types:auth', 'types:agent', 'types:channels', 'types:nodes', 'types:gateway', 'types:config'],
    because: 'it serves ports that others declare, so that none of them knows a database',
  },
  { room: 'client', may: ['lib', 'protocol'], because: 'it runs in browsers too' },
  { room: 'client/node', may: ['lib', 'files', 'protocol', 'net', 'client'], because: "a client's own half that needs Node" },
  {
    room: 'gateway',
    may: ['lib', 'protocol', 'config', 'net', 'process', 'auth', 'exposure', 'agent', 'channels', 'nodes', 'browser', 'types:store'],
    because: 'a gateway is not its own client',
  },
  {
    room: 'gateway/start',
    may: [
      'lib',
      'files',
      'protocol',
      'config',
      'net',
      'process',
      'auth',
      'exposure',
      'agent',
      'channels',
      'nodes',
      'browser',
      'store',
      'gateway',
    ],
    because: 'the composition root: the one page where features meet and get their store',
  },
  {
    room: 'cli',
    may: ['lib', 'protocol', 'config', 'net', 'process', 'client', 'tunnel', 'auth/credentials', 'exposure/plan', 'exposure/preflight'],
    because: 'a command is a client of the gateway; only those below open its state themselves',
  },
  {
    room: 'cli/commands/gateway-run',
    may: [
      'lib',
      'protocol',
      'config',
      'net',
      'process',
      'client',
      'tunnel',
      'auth/credentials',
      'exposure/plan',
      'exposure/preflight',
      'gateway/start',
      'store',
      'cli',
    ],
    because: 'this command is the gateway',
  },
  {
    room: 'cli/commands/backup',
    may: [
      'lib',
      'protocol',
      'config',
      'net',
      'process',
      'client',
      'tunnel',
      'auth/credentials',
      'exposure/plan',
      'exposure/preflight',
      'gateway/start',
      'store',
      'cli',
    ],
    because: 'a backup is made of the store, also of a gateway that does not run',
  },
];

/** What only some rooms may use. `of` matches the specifier of a package or built-in. */
const RESERVED: readonly { of: RegExp; for: readonly string[]; because: string }[] = [
  {
    of: /^(node:)?(child_process|worker_threads|cluster)$/,
    for: ['process'],
    because: 'a child gets argv, a deadline and an allow-listed environment, which process/ sees to',
  },
  // config/lock keeps no data in it: SQLite's file lock is the only one in Node that dies with its process. config/running-gateway looks at
  // the instance lock, for clients, who may not open the store.
  { of: /^(node:)?sqlite$/, for: ['store', 'config/lock', 'config/running-gateway'], because: 'one writer of the state dir' },
  { of: /^@ai-sdk\//, for: ['agent'], because: 'models are reached through the agent only' },
  { of: /^zod(?!\/mini$)/, for: [], because: 'zod/mini is 8 MiB lighter and does the same' },
  {
    of: /^(node:|[^.])/,
    for: [
      'files',
      'config',
      'net',
      'process',
      'auth',
      'exposure',
      'tunnel',
      'agent',
      'channels',
      'nodes',
      'browser',
      'store',
      'client/node',
      'gateway',
      'cli',
    ],
    because: 'lib, protocol and client run in a browser too',
  },
];
// What pure rooms may still use of other people: it is pure itself.
const PURE_PACKAGES = new Set(['zod/mini']);

const within = (file: string, place: string): boolean => {
  const rest = file.startsWith(`src/${place}`) ? file.slice(`src/${place}`.length) : undefined;
  return rest !== undefined && (rest === '' || /^[/.-]/.test(rest));
};
/** The innermost room a file lies in: `gateway/start` before `gateway`. */
const roomOf = (file: string): Room | undefined =>
  ROOMS.filter(({ room }) => within(file, room)).sort((a, b) => b.room.length - a.room.length)[0];

function trespasses(edges: readonly Edge[]): string[] {
  return edges.flatMap((edge) => {
    const { from, to, typeOnly } = edge;
    const room = roomOf(from);
    if (room === undefined) return [`${from} lies in no room: give it one in test/architecture.test.ts`];
    if (to.startsWith('src/')) {
      const own = [room.room, ...room.may];
      const allowed = own.some((place) => (place.startsWith('types:') ? typeOnly && within(to, place.slice(6)) : within(to, place)));
      return allowed ? [] : [`${from} → ${to}: ${room.room} may import ${room.may.join(', ') || 'nothing'}, because ${room.because}`];
    }
    if (to.startsWith('.') || /^(test|bench|scripts|bin|ui|desktop)\//.test(to))
      return [`${from} → ${to}: the product does not import its surroundings`];
    if (typeOnly || PURE_PACKAGES.has(to)) return [];
    const rule = RESERVED.find(({ of }) => of.test(to));
    return rule === undefined || rule.for.some((place) => within(from, place)) ? [] : [`${from} → ${to}: ${rule.because}`];
  });
}

describe('the walls of src/', () => {
  const root = path.join(import.meta.dirname, '..');
  const files = sourceFiles(root, 'src');
  const edges = importGraph(files);

  test('no room imports what it may not', () => {
    expect(files.size).toBeGreaterThan(20);
    expect(trespasses(edges)).toEqual([]);
  });

  test('there is no import cycle', () => {
    expect(cycles(edges).map((files) => files.join(' → '))).toEqual([]);
  });

  test('only config reads the environment of the process', () => {
    const readers = [...files].filter(
      ([file, text]) => !within(file, 'config') && /\bprocess\s*\.\s*env\b/.test(text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')),
    );
    expect(readers.map(([file]) => file)).toEqual([]);
  });
});

describe('the test of the walls itself', () => {
  const edge = (from: string, to: string, typeOnly = false): Edge => ({ from, to, typeOnly });

  test.each([
    ['a feature imports another', edge('src/agent/run.ts', 'src/store/sqlite/database.ts', true)],
    ['anybody imports cli', edge('src/gateway/start.ts', 'src/cli/main.ts')],
    ['the gateway opens the store outside start', edge('src/gateway/methods/chat.ts', 'src/store/sqlite/database.ts')],
    ['a command other than gateway starts one', edge('src/cli/commands/health.ts', 'src/gateway/start.ts')],
    ['a neighbour whose name begins alike', edge('src/cli/main.ts', 'src/auth/credentialsX.ts')],
    ['lib uses Node', edge('src/lib/log.ts', 'node:fs')],
    ['protocol uses the large zod', edge('src/protocol/frames.ts', 'zod')],
    ['a child process elsewhere', edge('src/tunnel/ssh/run.ts', 'node:child_process')],
    ['src imports a test helper', edge('src/net/bind.ts', 'test/support/clock.ts')],
    ['a file outside every room', edge('src/loose.ts', 'src/lib/result.ts')],
  ])('%s: refused', (_, wrong) => {
    expect(trespasses([wrong])).toHaveLength(1);
  });

  test.each([
    edge('src/gateway/start.ts', 'src/store/sqlite/open.ts'),
    edge('src/gateway/start/compose.ts', 'src/gateway/ws/upgrade.ts'),
    edge('src/store/sqlite/devices.ts', 'src/auth/ports.ts', true),
    edge('src/cli/commands/gateway-run.ts', 'src/gateway/start.ts'),
    edge('src/cli/credentials.ts', 'src/auth/credentials.ts'),
    edge('src/protocol/frames.ts', 'zod/mini'),
  ])('$from → $to: allowed', (right) => {
    expect(trespasses([right])).toEqual([]);
  });

  test('every way of importing is seen', () => {
    const text = `import type { A } from './a.ts'; import { type B } from './b.ts'; import c from './c.ts'; export * from './d.ts';
      export type { E } from './e.ts'; const f = await import('./f.ts'); type G = typeof import('./g.ts'); import './h.ts';
      const i = process.getBuiltinModule('node:fs');`;
    const seen = importGraph(new Map([['src/x/y.ts', text]])).map(({ to, typeOnly }) => `${to}${typeOnly ? ' type' : ''}`);
    expect(seen.sort()).toEqual([
      'node:fs',
      'src/x/a.ts type',
      'src/x/b.ts type',
      'src/x/c.ts',
      'src/x/d.ts',
      'src/x/e.ts type',
      'src/x/f.ts',
      'src/x/g.ts type',
      'src/x/h.ts',
    ]);
  });

  test('a cycle is found', () => {
    expect(cycles([edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('d', 'a')])).toEqual([['a', 'b', 'c', 'a']]);
    expect(cycles([edge('a', 'b'), edge('b', 'c'), edge('a', 'c')])).toEqual([]);
  });
});
