import type { CommandEntry } from './command-entry.ts';
import type { Context } from './context.ts';

export interface CommandSpec extends CommandEntry {
  /** Fetches the code of this one command. */
  readonly load: () => Promise<Run>;
}

/** Runs a command to its end and gives the exit code. Throws `UserError` for what a person must read. */
export type Run = (context: Context) => Promise<number>;
