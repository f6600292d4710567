import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

export interface WhichOptions {
  /** The PATH to search, as text. */
  readonly path: string | undefined;
  /** Windows: the endings a program may have. */
  readonly pathExt?: string | undefined;
  readonly platform?: NodeJS.Platform;
}

/** Only entries that do not depend on the current directory: an empty one or `.` would let whoever owns that folder choose the program. */
export const absoluteEntries = (path: string | undefined): readonly string[] =>
  (path ?? '').split(delimiter).filter((entry) => isAbsolute(entry));

/**
 * The absolute path of a program, or undefined. No shell, never the current directory. A name with a slash is no name: it is only taken
 * when it is absolute, and then as it stands.
 */
export async function which(name: string, { path, pathExt, platform = process.platform }: WhichOptions): Promise<string | undefined> {
  if (isAbsolute(name)) return (await isProgram(name)) ? name : undefined;
  if (name === '' || /[/\\\0]/.test(name)) return undefined;
  // `.cmd` and `.bat` need a shell to run, so they are no programs here.
  const endings =
    platform === 'win32' ? ['', ...(pathExt ?? '.EXE;.COM').split(';').filter((ending) => /^\.(exe|com)$/i.test(ending))] : [''];
  for (const folder of absoluteEntries(path)) {
    for (const ending of endings) {
      const candidate = join(folder, name + ending);
      if (await isProgram(candidate)) return candidate;
    }
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
