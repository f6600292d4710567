import { pino } from 'pino';
import type { Log, LogFields } from '../lib/log.ts';
import { printable, redactFields, redactText } from '../lib/redact.ts';
import type { LogFile } from './log-file.ts';

export type LogLevel = 'silent' | 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';

export interface LogOptions {
  /** Asked at every line: it may change while the gateway runs. */
  readonly level: () => LogLevel;
  readonly file: LogFile;
  /** Also to the terminal, at this level. */
  readonly console: { readonly level: LogLevel; write(line: string): void } | undefined;
  /** Secrets in force; their text never reaches a line. */
  readonly secrets: () => Iterable<string>;
}

const RANK: Readonly<Record<LogLevel, number>> = {
  silent: Number.POSITIVE_INFINITY,
  fatal: 60,
  error: 50,
  warn: 40,
  info: 30,
  debug: 20,
  trace: 10,
};

/** The one logger of the gateway: JSON lines in the file, short lines on the terminal, secrets in neither. */
export function createLog(options: LogOptions): Log {
  const logger = pino(
    { level: 'trace', base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    { write: (line: string) => options.file.write(line) },
  );
  const make = (part: string | undefined): Log => {
    const line =
      (level: 'debug' | 'info' | 'warn' | 'error') =>
      (message: string, fields: LogFields = {}) => {
        const enabled = RANK[level] >= RANK[options.level()];
        const shown = options.console !== undefined && RANK[level] >= RANK[options.console.level];
        if (!enabled && !shown) return;
        const secrets = [...options.secrets()];
        const text = printable(redactText(message, secrets), 2_000);
        const clean = redactFields(fields, secrets);
        if (enabled) logger[level](part === undefined ? clean : { part, ...clean }, text);
        if (shown) options.console?.write(consoleLine(level, part, text, clean));
      };
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error'), part: (name) => make(name) };
  };
  return make(undefined);
}

function consoleLine(level: string, part: string | undefined, text: string, fields: Readonly<Record<string, unknown>>): string {
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const mark = level === 'info' ? '' : `${level}: `;
  return `${mark}${part === undefined ? '' : `[${part}] `}${text}${rest.join('')}\n`;
}
