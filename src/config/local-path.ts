import { path } from './builtins.ts';
import { expandHome, type Paths } from './paths.ts';
import type { Complaint } from './spec.ts';

/** `C:\\x`, `C:x` with a backslash in it, `\\\\server\\share`. */
const OF_WINDOWS = /^(?:[A-Za-z]:[\\/]|\\\\|[A-Za-z]:[^/]*\\)/;
/** `/home/x`: on Windows a directory of whichever drive is current. */
const OF_POSIX = /^\/(?!\/)/;

/** A path that is written as another system writes it would make a directory of that very name here. */
export function foreignPath(value: string, platform: string = process.platform): Complaint | undefined {
  const text = value.trim();
  if (platform === 'win32')
    return OF_POSIX.test(text)
      ? { message: 'is a path of another system than Windows', fix: 'Write it with its drive: "C:/Users/me/x"' }
      : undefined;
  return OF_WINDOWS.test(text)
    ? {
        message: 'is a path of Windows, and this is another system',
        fix: 'Write it as this system does: "~/x", "/home/me/x", or relative to the config file',
      }
    : undefined;
}

/** A path of the config file, absolute: `~` is the home, and what is relative counts from the file's directory, wherever the process was started. */
export const configuredPath = (value: string, paths: Pick<Paths, 'home' | 'configPath'>): string =>
  path.resolve(path.dirname(paths.configPath), expandHome(value.trim(), paths.home));
