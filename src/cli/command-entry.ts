/** A flag as it is typed, parsed, completed and documented. */
export interface FlagSpec {
  /** Without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** What stands for its value in the help; absent: a switch. */
  readonly value?: string;
  readonly choices?: readonly string[];
  /** May be given more than once. */
  readonly many?: true;
  readonly summary: string;
  /** Parsed, not shown: accepted for scripts written for other versions. */
  readonly hidden?: true;
}

/** A command as it is parsed, completed and documented. */
export interface CommandEntry {
  /** `['devices', 'approve']` */
  readonly path: readonly string[];
  /** Other names of the same, each a whole path joined with a space. */
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** Positionals in the help: `[requestId]`. */
  readonly args?: string;
  /** How many positionals at most. */
  readonly maxArgs?: number;
  readonly flags: readonly FlagSpec[];
  readonly examples: readonly string[];
}
