import type { ConfigProblem, ConfigSnapshot, LoadOptions } from '../config/load.ts';
import type { Paths } from '../config/paths.ts';
import type { Result } from '../lib/result.ts';
import type { CommandEntry, FlagSpec } from './command-entry.ts';
import type { CliEnv } from './env.ts';
import type { Flags } from './flags.ts';
import type { Output } from './output.ts';

/** What a command is given. */
export interface Context {
  readonly env: CliEnv;
  readonly flags: Flags;
  readonly args: readonly string[];
  readonly out: Output;
  readonly paths: Paths;
  /** The table of all commands, for those that speak about it. */
  readonly program: { readonly commands: readonly CommandEntry[]; readonly globalFlags: readonly FlagSpec[] };
  /** The config, read at most once. Its loader is fetched with it: many commands never need it. */
  config(): Promise<Result<ConfigSnapshot, ConfigProblem>>;
}

export function lazyConfig(paths: Paths, vars: LoadOptions['env']): Context['config'] {
  let loaded: ReturnType<Context['config']> | undefined;
  return () => (loaded ??= import('../config/load.ts').then(({ loadConfig }) => loadConfig({ paths, env: vars })));
}
