import { fs, path } from './builtins.ts';

/** Entries at most that one call looks at; a larger tree is one that we did not make. */
const MAX_ENTRIES = 20_000;

/**
 * Takes away what others may do with the entries of `dir`, which is a private directory already (so nobody else can exchange them meanwhile).
 * Goes down only where a directory was laxer itself: what was made under a lax umask; all others cost one `lstat`. Links are not followed,
 * what belongs to somebody else is left alone. Never throws: what cannot be changed stays unreachable behind `dir`.
 */
export function tightenEntries(dir: string): void {
  const uid = process.getuid?.();
  if (uid === undefined) return;
  let left = MAX_ENTRIES;
  const visit = (folder: string): void => {
    for (const name of fs.readdirSync(folder)) {
      if (left-- <= 0) return;
      const entry = path.join(folder, name);
      try {
        const stat = fs.lstatSync(entry);
        if (stat.isSymbolicLink() || stat.uid !== uid || (stat.mode & 0o077) === 0) continue;
        fs.chmodSync(entry, stat.mode & 0o700);
        if (stat.isDirectory()) visit(entry);
      } catch {
        // It went meanwhile, or is not to be had.
      }
    }
  };
  try {
    visit(dir);
  } catch {
    // No directory: whoever needs it says so.
  }
}
