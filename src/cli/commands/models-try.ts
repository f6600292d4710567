import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { oneLine, printable } from '../format/text.ts';
import { bytes } from '../format/values.ts';
import { tryOpen } from '../gateway.ts';
import { number, record, text } from '../read-json.ts';
import { adminTarget } from '../target.ts';

/** Fetching and starting a model takes minutes; silence this long means it hangs. */
const PROGRESS_TIMEOUT_MS = 10 * 60_000;

/** `openclaw models try`: a small real model on this machine, run by the gateway. What it costs is said before anything is fetched. */
export const run: Run = async (context) => {
  const { flags, out } = context;
  const target = await adminTarget(context);
  const opened = target === undefined ? undefined : await tryOpen(context, { scopes: [], device: 'have', only: target });
  if (opened === undefined || !opened.ok) {
    throw new UserError('GATEWAY_NOT_RUNNING', "the model is run by this machine's gateway, and none of this state dir is running.", {
      fix: 'openclaw gateway run   (in another terminal), then: openclaw models try',
      exitCode: EXIT.unreachable,
    });
  }
  const gateway = opened.value;
  try {
    if (flags.on('remove')) {
      const answer = await gateway.client.request(
        'models.try.remove',
        {},
        { timeoutMs: PROGRESS_TIMEOUT_MS, expectFinal: true, onProgress: progress(context) },
      );
      if (!answer.ok) throw faultError(answer.error, gateway.target);
      out.result(answer.value);
      out.line('The local model is removed.');
      return EXIT.ok;
    }
    const plan = await gateway.call('models.try.plan', {});
    printPlan(context, { ...plan });
    if (!flags.on('yes') && !(await confirmed(context))) {
      throw new UserError('NOT_CONFIRMED', 'nothing was done.', { fix: 'openclaw models try --yes' });
    }
    const answer = await gateway.client.request(
      'models.try.install',
      { confirm: true },
      { timeoutMs: PROGRESS_TIMEOUT_MS, expectFinal: true, onProgress: progress(context) },
    );
    if (!answer.ok) throw faultError(answer.error, gateway.target);
    out.result(answer.value);
    out.line(`${out.paint.green('Ready.')} ${out.text.next} openclaw chat   (undo: openclaw models try --remove)`);
    return EXIT.ok;
  } finally {
    gateway.close();
  }
};

function printPlan({ out }: Context, plan: Readonly<Record<string, unknown>>): void {
  const download = number(plan['downloadBytes']);
  const disk = number(plan['diskBytes']) ?? number(plan['installedBytes']);
  const memory = number(plan['memoryBytes']);
  const cost = [
    download === undefined ? undefined : `${bytes(download)} to fetch`,
    disk === undefined ? undefined : `${bytes(disk)} on disk`,
    memory === undefined ? undefined : `${bytes(memory)} of memory while it runs`,
  ].filter((part) => part !== undefined);
  out.note(
    `${text(plan['name']) ?? text(plan['model']) ?? 'A small language model'}: real answers, on this machine, without a key. It is too small to be clever.`,
  );
  if (cost.length > 0) out.note(`Cost: ${cost.join(', ')}.`);
  const where = text(plan['dir']) ?? text(plan['path']);
  if (where !== undefined) out.note(`It goes into ${printable(where)} and nowhere else.`);
  const python = record(plan['python']);
  if (python['ok'] === false || plan['available'] === false || plan['ok'] === false) {
    const why = text(plan['message']) ?? text(plan['reason']) ?? text(python['message']) ?? 'this machine lacks what it needs';
    throw new UserError('MODEL_TRY_UNAVAILABLE', printable(why), {
      fix: printable(text(plan['fix']) ?? text(python['fix']) ?? 'Install Python 3 with pip and venv'),
    });
  }
}

async function confirmed({ env, out }: Context): Promise<boolean> {
  if (!env.stdin.isTTY) return false;
  env.stderr.write('Go on? [y/N] ');
  for await (const line of env.stdin.lines()) return /^y(es)?$/i.test(line.trim());
  out.note('');
  return false;
}

const progress =
  ({ out }: Context) =>
  (payload: unknown): void => {
    const { step, message, percent } = record(payload);
    const line = oneLine(text(message) ?? text(step) ?? '', 160);
    if (line !== '') out.note(`  ${line}${typeof percent === 'number' ? ` ${Math.round(percent)}%` : ''}`);
  };
