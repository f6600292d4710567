/** What a log line may carry beside its text. Values are redacted by key and by value before they are written. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The port every room logs through; the adapter (pino) is chosen in the composition root. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines all carry `part`, e.g. `ws`, `agent`. */
  part(name: string): Log;
}

const nothing = (): void => {};
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, part: () => silentLog };
