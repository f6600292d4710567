import { UserError } from '../../lib/errors.ts';
import type { TryPlan, TryProgress } from '../../protocol/methods/local.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { oneLine, printable } from '../format/text.ts';
import { bytes } from '../format/values.ts';
import { tryOpen } from '../gateway.ts';
import { adminTarget, usableConfig } from '../target.ts';

/** Fetching and starting a model takes minutes; silence this long means it hangs. */
const PROGRESS_TIMEOUT_MS = 10 * 60_000;

/** `openclaw models try`: a small real model on this machine, run by the gateway. What it costs is said before anything is fetched. */
export const run: Run = async (context) => {
  const { flags, out } = context;
  const target = await adminTarget(context);
  const opened = target === undefined ? undefined : await tryOpen(context, { scopes: [], device: 'have', only: target });
  if (opened === undefined || !opened.ok) {
    const isClient = target === undefined && (await usableConfig(context)).config.gateway.mode === 'remote';
    if (isClient) throw new UserError('REMOTE_CONFIG', out.text.isClient, { fix: out.text.onGateway('openclaw models try') });
    throw new UserError('GATEWAY_NOT_RUNNING', out.text.tryNeedsGateway, {
      fix: `openclaw gateway run   (${out.text.noteOtherTerminal})`,
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
      if (!answer.ok) throw faultError(answer.error, gateway.target, context.out.text);
      out.result(answer.value);
      out.line(out.text.tryRemoved);
      return EXIT.ok;
    }
    const plan = await gateway.call('models.try.plan', {});
    printPlan(context, plan);
    if (!flags.on('yes') && !(await confirmed(context))) {
      throw new UserError('NOT_CONFIRMED', out.text.nothingDone, { fix: 'openclaw models try --yes' });
    }
    const answer = await gateway.client.request(
      'models.try.install',
      { confirm: true },
      { timeoutMs: PROGRESS_TIMEOUT_MS, expectFinal: true, onProgress: progress(context) },
    );
    if (!answer.ok) throw faultError(answer.error, gateway.target, context.out.text);
    out.result(answer.value);
    out.line(out.paint.green(out.text.ready));
    out.line(out.todo(out.text.next, `openclaw chat   (${out.text.noteUndo('openclaw models try --remove')})`));
    return EXIT.ok;
  } finally {
    gateway.close();
  }
};

function printPlan({ out }: Context, { title, dir, downloadBytes, diskBytes, memoryBytes, python }: TryPlan): void {
  const { text: t } = out;
  const cost = [t.costDownload(bytes(downloadBytes)), t.costDisk(bytes(diskBytes)), t.costMemory(bytes(memoryBytes))];
  out.note(t.tryOffer(oneLine(title, 80)));
  out.note(`${t.cost} ${cost.join(t.comma)}`);
  out.note(t.tryWhere(printable(dir)));
  if (!python.ok)
    throw new UserError('MODEL_TRY_UNAVAILABLE', printable(python.message), python.fix === undefined ? {} : { fix: printable(python.fix) });
}

async function confirmed({ env, out }: Context): Promise<boolean> {
  if (!env.stdin.isTTY) return false;
  env.stderr.write(`${out.text.goOn} [y/N] `);
  for await (const line of env.stdin.lines()) return /^y(es)?$/i.test(line.trim());
  out.note('');
  return false;
}

/** One line for each step as it begins; the gateway repeats it every second while it lasts. */
function progress({ out }: Context): (payload: unknown) => void {
  let shown = 0;
  return (payload) => {
    const { step = 0, steps, text } = payload as Partial<TryProgress>;
    if (step <= shown) return;
    shown = step;
    out.note(`  ${step}/${steps} ${oneLine(text ?? '', 160)}`);
  };
}
