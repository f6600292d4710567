import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { err, ok, type Result } from '../../lib/result.ts';
import { crypto, fs, path } from '../builtins.ts';

const { constants } = fs;
const open = fs.promises.open;
const NOFOLLOW = constants.O_NOFOLLOW ?? 0;
const NONBLOCK = constants.O_NONBLOCK ?? 0;
const DIRECTORY = constants.O_DIRECTORY ?? 0;

/** A path may have this many parts, each of at most this many bytes. */
const MAX_DEPTH = 32;
const MAX_NAME_BYTES = 255;

/** A sentence for the model: what it asked for is outside of what its tools may touch, or not there. */
export type Refused = string;

/**
 * One agent's workspace, held open. Everything below it is reached from this descriptor, one name at a time, and no
 * symbolic link is ever followed: what was checked is what is used, however the tree changes meanwhile.
 */
export interface Workspace {
  readonly path: string;
  /** Runs `use` on a regular file opened for reading. */
  read<T>(relative: string, use: (file: FileHandle, stat: Stats) => Promise<T>): Promise<Result<T, Refused>>;
  /** The names in a directory, at most `max`, sorted; `more` says that there are others. */
  list(relative: string, max: number): Promise<Result<{ readonly entries: readonly Entry[]; readonly more: boolean }, Refused>>;
  /** Puts `content` at `relative`: made (with its directories) or replaced in one step. A reader sees the old file or the new one. */
  write(relative: string, content: string): Promise<Result<{ readonly created: boolean }, Refused>>;
  close(): Promise<void>;
}
export interface Entry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  readonly bytes: number;
}

interface Dir {
  readonly handle: FileHandle;
  /** As the names lead there; only used where the system has no paths relative to a descriptor. */
  readonly path: string;
}

const procFds = process.platform === 'linux' && fs.existsSync('/proc/self/fd');
/** The path of `name` in an open directory. On Linux through its descriptor, so that a renamed or swapped parent does not matter. */
const at = (dir: Dir, name: string): string => (procFds ? `/proc/self/fd/${dir.handle.fd}/${name}` : path.join(dir.path, name));
/**
 * Where paths are not relative to a descriptor: whether what was opened is what stands under the name, with no link on
 * the way. A tree that is swapped to and fro at the right moments could still deceive it; the descriptor cannot be.
 */
async function isInPlace(dir: Dir, name: string, stat: Stats): Promise<boolean> {
  if (procFds) return true;
  const target = path.join(dir.path, name);
  const now = await fs.promises.lstat(target);
  return identity(now) === identity(stat) && folded(await fs.promises.realpath(target)) === folded(target);
}
/** Names of those systems differ in case and composition without being others. */
const folded = (name: string): string => name.normalize('NFC').toLowerCase();
const self = (dir: Dir): string => (procFds ? `/proc/self/fd/${dir.handle.fd}` : dir.path);

/**
 * Opens a workspace, making it (0700) where there is none. `protectedPaths` are refused wherever they turn up in it,
 * told by what they are (device and inode) and not by their name.
 */
export async function openWorkspace(root: string, protectedPaths: readonly string[]): Promise<Result<Workspace, Refused>> {
  try {
    // The workspace itself may be a link of its owner; from here on nothing is.
    const [real, guarded] = await Promise.all([realRoot(root), identities(protectedPaths)]);
    const handle = await open(real, constants.O_RDONLY | DIRECTORY);
    const dir = { handle, path: real };
    if (guarded.has(identity(await handle.stat()))) {
      await handle.close();
      return err(`The workspace ${root} is a directory of OpenClaw itself. Set agents.defaults.workspace to another one.`);
    }
    return ok(workspaceOver(dir, root, guarded));
  } catch (thrown) {
    return err(`The workspace ${root} cannot be opened (${codeOf(thrown)}).`);
  }
}

/** Where the root really is; it is made where there is none. */
async function realRoot(root: string): Promise<string> {
  try {
    return await fs.promises.realpath(root);
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown;
    await fs.promises.mkdir(root, { recursive: true, mode: 0o700 });
    return fs.promises.realpath(root);
  }
}

function workspaceOver(root: Dir, given: string, guarded: ReadonlySet<string>): Workspace {
  /** Walks to the directory of `segments` and runs `use` with it open; with `make`, missing directories are made. */
  async function inDir<T>(
    segments: readonly string[],
    make: boolean,
    use: (dir: Dir) => Promise<Result<T, Refused>>,
  ): Promise<Result<T, Refused>> {
    let current = root;
    try {
      for (const name of segments) {
        const next = await step(current, name, make);
        if (current !== root) await current.handle.close();
        current = root;
        if (!next.ok) return next;
        current = next.value;
      }
      return await use(current);
    } finally {
      if (current !== root) await current.handle.close();
    }
  }

  async function step(parent: Dir, name: string, make: boolean): Promise<Result<Dir, Refused>> {
    const target = at(parent, name);
    if (make) {
      await fs.promises.mkdir(target, { mode: 0o700 }).catch((thrown: unknown) => {
        if (codeOf(thrown) !== 'EEXIST') throw thrown;
      });
    }
    const handle = await open(target, constants.O_RDONLY | DIRECTORY | NOFOLLOW | NONBLOCK);
    const dir = { handle, path: path.join(parent.path, name) };
    const stat = await handle.stat();
    const wrong = !stat.isDirectory() || guarded.has(identity(stat)) || !(await isInPlace(parent, name, stat));
    if (!wrong) return ok(dir);
    await handle.close();
    return err(`"${name}" may not be entered.`);
  }

  const total = async <T>(work: () => Promise<Result<T, Refused>>, relative: string): Promise<Result<T, Refused>> => {
    try {
      return await work();
    } catch (thrown) {
      return err(explain(thrown, relative));
    }
  };

  return {
    path: root.path,
    read(relative, use) {
      return total(async () => {
        const parts = segmentsOf(relative, root.path, given);
        if (!parts.ok) return parts;
        const name = parts.value.at(-1);
        if (name === undefined) return err('That is the workspace itself, a directory. Use list.');
        return await inDir(parts.value.slice(0, -1), false, async (dir) => {
          // Not blocking: a pipe or device in place of a file must not hang the run.
          const file = await open(at(dir, name), constants.O_RDONLY | NOFOLLOW | NONBLOCK);
          try {
            const stat = await file.stat();
            if (stat.isDirectory()) return err(`"${relative}" is a directory. Use list.`);
            const refused = unfit(stat, relative) ?? (guarded.has(identity(stat)) ? `"${relative}" may not be read.` : undefined);
            if (refused !== undefined) return err(refused);
            if (!(await isInPlace(dir, name, stat))) return err(`"${relative}" may not be read.`);
            return ok(await use(file, stat));
          } finally {
            await file.close();
          }
        });
      }, relative);
    },
    list(relative, max) {
      return total(async () => {
        const parts = segmentsOf(relative, root.path, given);
        if (!parts.ok) return parts;
        return await inDir(parts.value, false, async (dir) => {
          const names: string[] = [];
          let more = false;
          const opened = await fs.promises.opendir(self(dir));
          for await (const { name } of opened) {
            if (names.length >= max) {
              more = true;
              break;
            }
            names.push(name);
          }
          names.sort();
          const entries: Entry[] = [];
          for (const name of names) {
            const stat = await fs.promises.lstat(at(dir, name)).catch(() => undefined);
            if (stat === undefined) continue;
            const kind = stat.isSymbolicLink() ? 'link' : stat.isDirectory() ? 'directory' : stat.isFile() ? 'file' : 'other';
            entries.push({ name, kind, bytes: stat.size });
          }
          return ok({ entries, more });
        });
      }, relative);
    },
    write(relative, content) {
      return total(async () => {
        const parts = segmentsOf(relative, root.path, given);
        if (!parts.ok) return parts;
        const name = parts.value.at(-1);
        if (name === undefined) return err('That is the workspace itself, a directory.');
        return await inDir(parts.value.slice(0, -1), true, async (dir) => {
          const before = await fs.promises.lstat(at(dir, name)).catch((thrown: unknown) => {
            if (codeOf(thrown) === 'ENOENT') return undefined;
            throw thrown;
          });
          if (before?.isSymbolicLink()) return err(`"${relative}" is a symbolic link; links are not followed.`);
          if (before?.isDirectory()) return err(`"${relative}" is a directory.`);
          const refused =
            before && (unfit(before, relative) ?? (guarded.has(identity(before)) ? `"${relative}" may not be written.` : undefined));
          if (refused !== undefined) return err(refused);
          const temporary = `.${crypto().randomBytes(9).toString('base64url')}.tmp`;
          const file = await open(
            at(dir, temporary),
            constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NOFOLLOW,
            before === undefined ? 0o600 : before.mode & 0o777,
          );
          try {
            await file.writeFile(content, 'utf8');
            await file.sync();
            if (!(await isInPlace(dir, temporary, await file.stat()))) throw new Error('moved');
            // `rename` replaces whatever now stands under the name and follows nothing.
            await fs.promises.rename(at(dir, temporary), at(dir, name));
          } catch (thrown) {
            await fs.promises.rm(at(dir, temporary), { force: true });
            throw thrown;
          } finally {
            await file.close();
          }
          return ok({ created: before === undefined });
        });
      }, relative);
    },
    close: () => root.handle.close(),
  };
}

/**
 * The names that lead from the workspace to `given`. Resolved by text alone, which is exact because no link is ever
 * followed. Absolute paths are taken when they lie in the workspace.
 */
export function segmentsOf(given: string, ...roots: readonly string[]): Result<readonly string[], Refused> {
  const outside = err(`"${shown(given)}" is outside of the workspace.`);
  if (given.includes('\0')) return err('A path may not hold a NUL character.');
  let text = process.platform === 'win32' ? given.replaceAll('\\', '/') : given;
  if (path.isAbsolute(text)) {
    const inside = roots
      .map((root) => path.relative(root, text))
      .find((rest) => !path.isAbsolute(rest) && rest !== '..' && !rest.startsWith(`..${path.sep}`));
    if (inside === undefined) return outside;
    text = process.platform === 'win32' ? inside.replaceAll('\\', '/') : inside;
  }
  const segments: string[] = [];
  for (const part of text.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (segments.pop() === undefined) return outside;
      continue;
    }
    // A drive or a stream on Windows (`C:`, `file:stream`), never part of a name there.
    if (process.platform === 'win32' && part.includes(':')) return outside;
    if (Buffer.byteLength(part) > MAX_NAME_BYTES) return err('A name in that path is too long.');
    segments.push(part);
  }
  return segments.length > MAX_DEPTH ? err('That path is too deep.') : ok(segments);
}

/** Why a file may be neither read nor replaced, if so. */
function unfit(stat: Stats, relative: string): Refused | undefined {
  if (!stat.isFile()) return `"${shown(relative)}" is not a regular file.`;
  // A second name may lie anywhere: this could be a key of the user under another name.
  if (stat.nlink > 1) return `"${shown(relative)}" has more than one name (hard link); it may lie outside of the workspace.`;
  return undefined;
}

const identity = (stat: { dev: number; ino: number }): string => `${stat.dev}:${stat.ino}`;

async function identities(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const found = await Promise.all(paths.map((each) => fs.promises.stat(each).then(identity, () => undefined)));
  return new Set(found.filter((each) => each !== undefined));
}

const shown = (text: string): string => text.replace(/[\p{C}]/gu, '?').slice(0, 200);

const codeOf = (thrown: unknown): string => {
  const code = thrown instanceof Error ? (thrown as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : 'error';
};

function explain(thrown: unknown, relative: string): Refused {
  const name = `"${shown(relative)}"`;
  switch (codeOf(thrown)) {
    case 'ENOENT':
      return `${name} does not exist.`;
    case 'ENOTDIR':
      return `${name} leads through something that is not a directory, or through a link.`;
    case 'ELOOP':
    case 'EMLINK':
      return `${name} is or leads through a symbolic link; links are not followed.`;
    case 'ENXIO':
      return `${name} is not a regular file.`;
    case 'EACCES':
    case 'EPERM':
      return `${name} may not be accessed.`;
    case 'ENOSPC':
      return 'The disk is full.';
    case 'ENAMETOOLONG':
      return 'That path is too long.';
    default:
      return `${name} cannot be used (${codeOf(thrown)}).`;
  }
}
