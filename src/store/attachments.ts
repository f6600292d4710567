import type { AttachmentStore } from '../agent/ports.ts';
import { ensurePrivateDir } from '../files/private-files.ts';
import { crypto, fs, path } from './builtins.ts';

/**
 * Attachments and large requests of runs that have not ended, one file a run (0600) in a directory of our own (0700). All of it asynchronous:
 * megabytes are written, synced and read by the thread pool. The directory is made with the first file.
 */
export function attachmentFiles(dir: string): AttachmentStore {
  const fsp = fs.promises;
  let isMade = false;
  /** Files of this life: those that are being written have no run yet that names them. */
  const own = new Set<string>();
  let writing: Promise<unknown> = Promise.resolve();

  const remove = async (name: string): Promise<void> => {
    own.delete(name);
    await fsp.rm(path.join(dir, name), { force: true }).catch(() => {});
  };

  async function syncDir(): Promise<void> {
    // Windows cannot open a directory, and its file systems journal entries themselves.
    if (process.platform === 'win32') return;
    const handle = await fsp.open(dir, fs.constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async function write(chunks: AsyncIterable<Uint8Array>): Promise<string> {
    if (!isMade || !fs.existsSync(dir)) ensurePrivateDir(dir);
    isMade = true;
    const name = crypto().randomUUID();
    own.add(name);
    try {
      const handle = await fsp.open(path.join(dir, name), 'wx', 0o600);
      try {
        for await (const chunk of chunks) await handle.writeFile(chunk);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await syncDir();
    } catch (thrown) {
      await remove(name);
      throw thrown;
    }
    return name;
  }

  return {
    // One after the other: what a request is turned into on its way to the disk is there once and not for each that comes.
    write(chunks) {
      const written = writing.then(() => write(chunks));
      writing = written.catch(() => {});
      return written;
    },
    async open(name, bytes) {
      const { O_RDONLY, O_NOFOLLOW = 0 } = fs.constants;
      const place = path.join(dir, name);
      const handle = await fsp.open(place, O_RDONLY | O_NOFOLLOW);
      try {
        if ((await handle.stat()).size < bytes) throw new Error(`${name} is shorter than it was`);
      } finally {
        await handle.close();
      }
      return fs.openAsBlob(place);
    },
    remove,
    async sweep(isNamed) {
      let removed = 0;
      try {
        for await (const { name } of await fsp.opendir(dir)) {
          if (own.has(name) || isNamed(name)) continue;
          await remove(name);
          removed++;
        }
      } catch {
        // No directory: nobody has attached anything yet.
      }
      return removed;
    },
  };
}
