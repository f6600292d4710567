import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { pad, width } from '../format/text.ts';
import { millis } from '../format/values.ts';
import { wrap } from '../format/wrap.ts';
import { type Hop, hopLabel, type Walk, walk } from '../hops.ts';

/**
 * `openclaw status`: the way from here to the model, hop by hop, changing nothing. Exit 1 when a hop is broken, with the one command
 * that mends it.
 */
export const run: Run = async (context) => {
  const { flags, out } = context;
  const isDeep = flags.on('deep') || flags.on('all');
  const timeoutMs = flags.int('timeout', { min: 1, max: 3_600_000 }) ?? 10_000;
  const walked = await walk(context, { deep: isDeep, timeoutMs });
  const { hops, broken, target, answers } = walked;
  const body = {
    hops,
    ...(broken === undefined ? {} : { broken: broken.id }),
    ...(target === undefined ? {} : { target: { url: target.shown, source: target.source, mode: target.mode } }),
    ...(isDeep ? answers : {}),
    ...(broken === undefined
      ? {}
      : { error: { code: broken.code ?? 'HOP_BROKEN', message: broken.detail, ...(broken.fix === undefined ? {} : { fix: broken.fix }) } }),
  };
  if (broken === undefined) out.result(body);
  else out.badResult(body);
  print(context, walked);
  if (flags.on('all')) await report(context);
  return broken === undefined ? EXIT.ok : EXIT.failure;
};

const MARKS = { ok: '✓', warn: '!', fail: '✗', skip: '–' } as const;

function print({ out }: Context, { hops, broken }: Walk): void {
  const { paint, text } = out;
  const colours = { ok: paint.green, warn: paint.yellow, fail: paint.red, skip: paint.dim };
  const labels = hops.map(({ id }) => hopLabel(id, text));
  const columns = Math.max(...labels.map(width));
  hops.forEach((hop, i) => {
    const took = hop.ms === undefined ? '' : millis(hop.ms);
    const [first = '', ...more] = wrap(`${hop.detail}${took === '' ? '' : `  ${took}`}`, Math.max(20, out.room - columns - 4));
    const dimmed = (row: string): string => (took !== '' && row.endsWith(took) ? row.slice(0, -took.length) + paint.dim(took) : row);
    out.line(
      `${colours[hop.state](MARKS[hop.state])} ${paint.bold(pad(labels[i] ?? '', columns))}  ${more.length === 0 ? dimmed(first) : first}`,
    );
    for (const [n, row] of more.entries()) out.line(`${' '.repeat(columns + 4)}${n === more.length - 1 ? dimmed(row) : row}`);
  });
  out.line();
  // A person who waits comes before a model that could be there.
  const hints = hops.filter(({ state, fix }) => state === 'warn' && fix !== undefined);
  const toMend: Hop | undefined = broken ?? hints.find(({ id }) => id !== 'model') ?? hints[0];
  if (broken !== undefined) out.line(paint.red(text.brokenAt(hopLabel(broken.id, text))));
  else out.line(paint.green(text.allGood));
  if (toMend?.fix !== undefined) out.line(out.todo(broken === undefined ? text.next : text.fix, toMend.fix));
}

/** What a bug report needs beside the hops; nothing secret, nothing of the conversations. */
async function report({ out, paths, config, env }: Context): Promise<void> {
  const os = process.getBuiltinModule('node:os');
  const loaded = await config();
  const lines: (readonly [string, string])[] = [
    ['System', `${env.platform} ${os.release()} ${process.arch}, Node ${process.versions.node}`],
    ['State', paths.stateDir],
    ['Profile', paths.profile ?? 'default'],
    ['Logs', paths.logsDir],
  ];
  if (loaded.ok) {
    const { gateway } = loaded.value.config;
    lines.push(
      ['Bind', `${gateway.bind}, port ${gateway.port} (${loaded.value.sourceOf('gateway.port')})`],
      ['Auth mode', gateway.auth.mode ?? 'inferred'],
      ['Tailscale', gateway.tailscale.mode],
      ...loaded.value.warnings.map(({ path, message }) => ['Config warning', `${path} ${message}`] as const),
    );
  }
  out.line();
  for (const [name, value] of lines) out.line(`${out.paint.dim(pad(name, 16))} ${value}`);
}
