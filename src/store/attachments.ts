import type { AttachmentStore } from '../agent/ports.ts';
import { ensurePrivateDir } from '../files/private-files.ts';
import { crypto, fs, path } from './builtins.ts';

/**
 * Attachments of runs that have not ended, one file a run (0600) in a directory of our own (0700). All of it asynchronous:
 * megabytes are written, synced and read by the thread pool. The directory is made with the first file.
 */
export function attachmentFiles(dir: string): AttachmentStore {
  const fsp = fs.promises;
  let isMade = false;

  const remove = async (name: string): Promise<void> => {
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

  return {
    async write(chunks) {
      if (!isMade || !fs.existsSync(dir)) ensurePrivateDir(dir);
      isMade = true;
      const name = crypto().randomUUID();
      const handle = await fsp.open(path.join(dir, name), 'wx', 0o600);
      try {
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
    },
    async read(name, sizes) {
      const { O_RDONLY, O_NOFOLLOW = 0 } = fs.constants;
      const handle = await fsp.open(path.join(dir, name), O_RDONLY | O_NOFOLLOW);
      try {
        const texts: string[] = [];
        for (const size of sizes) {
          const buffer = Buffer.allocUnsafe(size);
          for (let at = 0; at < size; ) {
            const { bytesRead } = await handle.read(buffer, at, size - at, null);
            if (bytesRead === 0) throw new Error(`${name} is shorter than it was`);
            at += bytesRead;
          }
          texts.push(buffer.toString('base64'));
        }
        return texts;
      } finally {
        await handle.close();
      }
    },
    remove,
    async sweep(isNamed) {
      let removed = 0;
      try {
        for await (const { name } of await fsp.opendir(dir)) {
          if (isNamed(name)) continue;
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
