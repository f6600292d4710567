import type { BigIntStats, Stats } from 'node:fs';
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
  /**
   * Replaces a file by what `change` makes of its bytes (at most `max`; a larger file is refused). Changes of one file go one after
   * another, over all workspaces of this process; one by another program in between refuses this one.
   */
  change(relative: string, max: number, change: (bytes: Buffer) => Promise<Result<string, Refused>>): Promise<Result<void, Refused>>;
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
async function isInPlace(dir: Dir, name: string, stat: Stats | BigIntStats): Promise<boolean> {
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
        return await inDir(parts.value.slice(0, -1), true, async (dir) =>
          alone(await lockKey(dir, name), async () => {
            const before = await stampAt(dir, name);
            const refused = before && unwritable(before, relative, guarded);
            if (refused !== undefined) return err(refused);
            const put = await replace(dir, name, relative, content, before);
            return put.ok ? ok({ created: before === undefined }) : put;
          }),
        );
      }, relative);
    },
    change(relative, max, change) {
      return total(async () => {
        const parts = segmentsOf(relative, root.path, given);
        if (!parts.ok) return parts;
        const name = parts.value.at(-1);
        if (name === undefined) return err('That is the workspace itself, a directory.');
        return await inDir(parts.value.slice(0, -1), false, async (dir) =>
          alone(await lockKey(dir, name), async () => {
            const before = await readAt(dir, name, relative, max, guarded);
            if (!before.ok) return before;
            const next = await change(before.value.bytes);
            if (!next.ok) return next;
            return await replace(dir, name, relative, next.value, before.value.stamp, async () => {
              const now = await readAt(dir, name, relative, max, guarded);
              return now.ok && now.value.bytes.equals(before.value.bytes) ? now.value.stamp : undefined;
            });
          }),
        );
      }, relative);
    },
    close: () => root.handle.close(),
  };
}

const CHANGED = (relative: string): Refused => `"${shown(relative)}" was changed by another program meanwhile; read it again.`;

/**
 * Puts `content` in the place of the file that `before` describes (undefined: there is none), unless that has become another one.
 * `look` reads the file once more when the new one is ready to be put there. Between the last look and the replacement lies one system
 * call of ours and nothing else; there is no way here to make both one.
 */
async function replace(
  dir: Dir,
  name: string,
  relative: string,
  content: string,
  before: BigIntStats | undefined,
  look?: () => Promise<BigIntStats | undefined>,
): Promise<Result<void, Refused>> {
  const temporary = `.${crypto().randomBytes(9).toString('base64url')}.tmp`;
  const file = await open(at(dir, temporary), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NOFOLLOW, 0o600);
  try {
    await file.writeFile(content, 'utf8');
    if (before !== undefined) await keepOwnerAndMode(file, before);
    await file.sync();
    if (!(await isInPlace(dir, temporary, await file.stat()))) throw new Error('moved');
    const expected = look === undefined ? before : await look();
    if (before === undefined) {
      // A name that has been taken meanwhile is not taken away.
      try {
        fs.linkSync(at(dir, temporary), at(dir, name));
        fs.unlinkSync(at(dir, temporary));
        return ok(undefined);
      } catch (thrown) {
        if (codeOf(thrown) === 'EEXIST') return err(CHANGED(relative));
        // A file system without second names.
      }
    } else {
      const now = fs.lstatSync(at(dir, name), { bigint: true, throwIfNoEntry: false });
      if (expected === undefined || now === undefined || stampOf(now) !== stampOf(expected)) return err(CHANGED(relative));
    }
    // `rename` replaces what stands under the name and follows nothing.
    fs.renameSync(at(dir, temporary), at(dir, name));
    return ok(undefined);
  } finally {
    await fs.promises.rm(at(dir, temporary), { force: true });
    await file.close();
  }
}

/**
 * The mode exactly, whatever the umask, but without setuid and setgid: as with every write, they were given to other contents. Owner and
 * group as far as this user may give them; a group that cannot be kept loses its rights to the file.
 */
async function keepOwnerAndMode(file: FileHandle, before: BigIntStats): Promise<void> {
  const own = await file.stat();
  const [uid, gid] = [Number(before.uid), Number(before.gid)];
  let mode = Number(before.mode) & 0o1777;
  if (own.uid !== uid || own.gid !== gid) {
    const isKept = await file.chown(uid, gid).then(
      () => true,
      () =>
        file.chown(own.uid, gid).then(
          () => true,
          () => own.gid === gid,
        ),
    );
    if (!isKept) mode &= ~0o070;
  }
  await file.chmod(mode);
}

/** Tells a file from another one, and from itself with other contents. */
const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string => `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;

async function stampAt(dir: Dir, name: string): Promise<BigIntStats | undefined> {
  try {
    return await fs.promises.lstat(at(dir, name), { bigint: true });
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** All bytes of a file that may be replaced, at most `max`, and what it was when they were read. */
async function readAt(
  dir: Dir,
  name: string,
  relative: string,
  max: number,
  guarded: ReadonlySet<string>,
): Promise<Result<{ readonly bytes: Buffer; readonly stamp: BigIntStats }, Refused>> {
  const file = await open(at(dir, name), constants.O_RDONLY | NOFOLLOW | NONBLOCK);
  try {
    const stamp = await file.stat({ bigint: true });
    const refused = unwritable(stamp, relative, guarded);
    if (refused !== undefined) return err(refused);
    if (!(await isInPlace(dir, name, stamp))) return err(`"${shown(relative)}" may not be written.`);
    if (stamp.size > max) return err('That file is too large to edit.');
    const bytes = Buffer.alloc(Number(stamp.size));
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length !== bytes.length || stampOf(await file.stat({ bigint: true })) !== stampOf(stamp)) return err(CHANGED(relative));
    return ok({ bytes, stamp });
  } finally {
    await file.close();
  }
}

function unwritable(stat: BigIntStats, relative: string, guarded: ReadonlySet<string>): Refused | undefined {
  if (stat.isSymbolicLink()) return `"${shown(relative)}" is a symbolic link; links are not followed.`;
  if (stat.isDirectory()) return `"${shown(relative)}" is a directory.`;
  return unfit(stat, relative) ?? (guarded.has(identity(stat)) ? `"${shown(relative)}" may not be written.` : undefined);
}

/** Files that are being changed by this process, and the end of the last change that waits for each. */
const changing = new Map<string, Promise<void>>();

/** A file by what it is: the directory it lies in, whatever names lead there, and its name (files with two names are refused). */
const lockKey = async (dir: Dir, name: string): Promise<string> =>
  `${identity(await dir.handle.stat())}/${process.platform === 'linux' ? name : folded(name)}`;

/** Runs `task` when no other one of the same key runs, in the order of the calls. */
async function alone<T>(key: string, task: () => Promise<T>): Promise<T> {
  const before = changing.get(key);
  let release: () => void = () => {};
  const mine = new Promise<void>((resolve) => {
    release = resolve;
  });
  changing.set(key, mine);
  try {
    await before;
    return await task();
  } finally {
    release();
    if (changing.get(key) === mine) changing.delete(key);
  }
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
function unfit(stat: Stats | BigIntStats, relative: string): Refused | undefined {
  if (!stat.isFile()) return `"${shown(relative)}" is not a regular file.`;
  // A second name may lie anywhere: this could be a key of the user under another name.
  if (stat.nlink > 1) return `"${shown(relative)}" has more than one name (hard link); it may lie outside of the workspace.`;
  return undefined;
}

const identity = (stat: { dev: number | bigint; ino: number | bigint }): string => `${stat.dev}:${stat.ino}`;

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
