import { delimiter } from 'node:path';
import { absoluteEntries } from './which.ts';

export type Env = Readonly<Record<string, string | undefined>>;

// What programs need to find themselves, the user and the language. A list of what may pass, since a list of what may not is never finished.
const POSIX = ['HOME', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR', 'USER', 'LOGNAME', 'SHELL', 'TERM'];
const WINDOWS = [
  ...['SYSTEMROOT', 'SYSTEMDRIVE', 'WINDIR', 'COMSPEC', 'PATHEXT', 'TEMP', 'TMP', 'USERPROFILE', 'USERNAME', 'HOMEDRIVE', 'HOMEPATH'],
  ...[
    'APPDATA',
    'LOCALAPPDATA',
    'PROGRAMDATA',
    'PROGRAMFILES',
    'PROGRAMFILES(X86)',
    'NUMBER_OF_PROCESSORS',
    'PROCESSOR_ARCHITECTURE',
    'OS',
  ],
];
/** Longer values are no locale and no folder. */
const MAX_VALUE = 8_192;

export interface ChildEnvOptions {
  /** The child is `ssh`: it also gets the agent's socket. */
  readonly ssh?: boolean;
  /** What this child was given by name: a provider key for the tool that needs it. Wins over the rest. */
  readonly extra?: Env;
  readonly platform?: NodeJS.Platform;
}

/**
 * The environment of a child process. Nothing of ours passes unless it is on the list or was given by name: no gateway secret, no provider
 * key, no `LD_PRELOAD`, no `NODE_OPTIONS`. Of PATH only the absolute entries pass.
 */
export function childEnv(parent: Env, options: ChildEnvOptions = {}): Record<string, string> {
  const isWindows = (options.platform ?? process.platform) === 'win32';
  const allowed = new Set([...POSIX, ...(isWindows ? WINDOWS : []), ...(options.ssh ? ['SSH_AUTH_SOCK'] : [])]);
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(parent)) {
    // Windows knows a variable by any case of its name, `Path` most of all.
    const key = isWindows ? name.toUpperCase() : name;
    if (value === undefined || value.length > MAX_VALUE) continue;
    if (key === 'PATH') env['PATH'] = absoluteEntries(value).join(delimiter);
    else if (allowed.has(key) || /^LC_[A-Z]+$/.test(key)) env[name] = value;
  }
  for (const [name, value] of Object.entries(options.extra ?? {})) if (value !== undefined) env[name] = value;
  return env;
}
