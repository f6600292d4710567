import type { Cancel } from '../../lib/clock.ts';
import { UserError } from '../../lib/errors.ts';
import { isRecord } from '../../lib/json.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { printable, safeJson } from '../format/text.ts';
import { type Gateway, tryOpen, USE } from '../gateway.ts';
import { usableConfig } from '../target.ts';

interface Page {
  readonly file: string;
  readonly cursor: number;
  readonly lines: readonly string[];
  readonly truncated?: boolean;
  readonly reset?: boolean;
}
/** Asks for what came after `cursor`. */
type Source = (cursor: number | undefined) => Promise<Page>;

/**
 * `openclaw logs [-f]`: by cursor from the gateway, so that nothing is shown twice or skipped. When none answers and it would be this
 * machine's own, the file is read: the log of a gateway that does not start is what one wants to see.
 */
export const run: Run = async (context) => {
  const { flags, out, env } = context;
  const follow = flags.on('follow');
  const limit = flags.int('limit', { min: 1, max: 5000 }) ?? 200;
  const maxBytes = flags.int('max-bytes', { min: 1, max: 1_000_000 }) ?? 250_000;
  const interval = flags.int('interval', { min: 100, max: 3_600_000 }) ?? 1000;
  const opened = await tryOpen(context, { scopes: USE, device: 'make', reconnect: follow });
  let source: Source;
  if (opened.ok) source = fromGateway(context, opened.value, limit, maxBytes);
  else {
    const { fault, target } = opened.error;
    if (fault.kind !== 'unreachable' || target.mode === 'remote' || (await usableConfig(context)).config.gateway.mode === 'remote')
      throw faultError(fault, target, context.out.text);
    source = fromFiles(context, limit, maxBytes);
    notice(context, `no gateway is running; this is its log file`);
  }

  const stop = new AbortController();
  const cancels: Cancel[] = follow ? [env.onInterrupt(() => stop.abort()), env.keepAlive()] : [];
  try {
    let page = await source(undefined);
    if (out.json) emit(context, { type: 'meta', file: page.file, cursor: page.cursor });
    if (page.truncated === true) notice(context, 'earlier lines are left out: --limit and --max-bytes show more');
    print(context, page.lines);
    while (follow && !stop.signal.aborted) {
      await pause(context, interval, stop.signal);
      if (stop.signal.aborted) break;
      page = await source(page.cursor);
      if (page.reset === true) notice(context, `a new log file: ${page.file}`);
      print(context, page.lines);
    }
    return EXIT.ok;
  } finally {
    for (const cancel of cancels) cancel();
    if (opened.ok) opened.value.close();
  }
};

function fromGateway({ out }: Context, gateway: Gateway, limit: number, maxBytes: number): Source {
  let last: Page = { file: '', cursor: 0, lines: [] };
  return async (cursor) => {
    const answer = await gateway.client.request('logs.tail', {
      limit: cursor === undefined ? limit : 5000,
      maxBytes,
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (answer.ok) {
      last = answer.value;
      return answer.value;
    }
    // While following, a restart of the gateway is waited for: the client comes back by itself.
    const { kind } = gateway.client.state;
    if (cursor !== undefined && (kind === 'waiting' || kind === 'connecting')) return { ...last, lines: [], reset: false };
    throw faultError(answer.error, gateway.target, out.text);
  };
}

/** The newest of `openclaw-YYYY-MM-DD.log` in the logs directory. */
function fromFiles({ paths }: Context, limit: number, maxBytes: number): Source {
  const fs = process.getBuiltinModule('node:fs');
  const path = process.getBuiltinModule('node:path');
  return async (cursor) => {
    let names: string[] = [];
    try {
      names = fs.readdirSync(paths.logsDir).filter((name) => /^openclaw-.*\.log$/.test(name));
    } catch {
      // No directory: it never ran.
    }
    const newest = names.sort().at(-1);
    if (newest === undefined) {
      throw new UserError('NO_LOGS', `there is no log in ${paths.logsDir}: no gateway of this state dir has run yet.`, {
        fix: 'openclaw gateway run',
        exitCode: EXIT.unreachable,
      });
    }
    const file = path.join(paths.logsDir, newest);
    const fd = fs.openSync(file, 'r');
    try {
      const { size } = fs.fstatSync(fd);
      const from = cursor === undefined || cursor > size ? Math.max(0, size - maxBytes) : cursor;
      const buffer = Buffer.alloc(Math.min(size - from, maxBytes));
      const read = fs.readSync(fd, buffer, 0, buffer.length, from);
      const raw = buffer.subarray(0, read);
      // Only whole lines: the end of one may not be written yet, the start of one was cut.
      const end = raw.lastIndexOf(0x0a) + 1;
      const start = from > 0 && cursor === undefined ? raw.indexOf(0x0a) + 1 : 0;
      const lines = raw
        .subarray(start, end)
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== '');
      const kept = cursor === undefined ? lines.slice(-limit) : lines;
      return {
        file,
        cursor: from + end,
        lines: kept,
        truncated: kept.length < lines.length || start > 0,
        reset: cursor !== undefined && cursor > size,
      };
    } finally {
      fs.closeSync(fd);
    }
  };
}

function print(context: Context, lines: readonly string[]): void {
  const { out, flags } = context;
  for (const line of lines) {
    const parsed = parseLine(line);
    if (out.json) emit(context, parsed === undefined ? { type: 'raw', line } : { type: 'log', ...parsed });
    else if (flags.on('plain') || parsed === undefined) out.line(printable(line));
    else out.line(readable(context, parsed));
  }
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const LEVELS: Readonly<Record<string, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' };

function readable({ out, flags }: Context, entry: Record<string, unknown>): string {
  const { paint } = out;
  const { time, ts, level, msg, message, part, pid: _pid, hostname: _host, ...rest } = entry;
  const name = typeof level === 'number' ? (LEVELS[level] ?? String(level)) : String(level ?? 'info');
  const colour = name === 'error' || name === 'fatal' ? paint.red : name === 'warn' ? paint.yellow : paint.dim;
  const fields = Object.entries(rest).map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return [
    paint.dim(timeText(time ?? ts, flags.on('local-time'))),
    colour(printable(name).padEnd(5)),
    ...(part === undefined ? [] : [paint.cyan(printable(String(part)))]),
    printable(String(msg ?? message ?? '')),
    ...(fields.length === 0 ? [] : [paint.dim(printable(fields.join(' ')))]),
  ].join(' ');
}

function timeText(time: unknown, local: boolean): string {
  const date = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN);
  if (Number.isNaN(date.getTime())) return '';
  if (!local) return date.toISOString();
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().replace('T', ' ').replace('Z', '');
}

const emit = ({ out }: Context, value: Record<string, unknown>): void => out.verbatim(`${safeJson(value)}\n`);

function notice(context: Context, message: string): void {
  if (context.out.json) emit(context, { type: 'notice', message });
  else context.out.note(context.out.paint.dim(printable(message)));
}

const pause = ({ env }: Context, ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const cancel = env.clock.after(ms, resolve);
    signal.addEventListener('abort', () => {
      cancel();
      resolve();
    });
  });
