/**
 * A local error that a person will read: what, why, and **one** thing to type next.
 * (Errors that travel on the wire are a family of their own: `protocol/errors`.)
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  /** Stable, machine-readable, e.g. `CONFIG_INVALID`. */
  readonly code: string;
  /** One copyable fix: a command or a config line. */
  readonly fix: string | undefined;
  /** Where the wrong value stands, e.g. `gateway.port`. */
  readonly path: string | undefined;
  /** Process exit code when this ends a command. 1 unless the command documents another. */
  readonly exitCode: number;

  constructor(code: string, message: string, options: { fix?: string; path?: string; exitCode?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.fix = options.fix;
    this.path = options.path;
    this.exitCode = options.exitCode ?? 1;
  }
}

/** The text of anything that was thrown, for a log line; never a stack. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message || thrown.name;
  return typeof thrown === 'string' ? thrown : 'unknown error';
}

/** For the default branch of a switch over a union: a forgotten case does not compile. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
