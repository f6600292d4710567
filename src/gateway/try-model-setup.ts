import type { TryModel } from '../agent/ports.ts';
import { installTryModel, removeTryModel } from '../agent/try-model/install.ts';
import { planTryModel, type TryModelPlace } from '../agent/try-model/plan.ts';
import type { Clock } from '../lib/clock.ts';
import { UserError } from '../lib/errors.ts';
import type { TryModelSetup } from './methods/local.ts';

/** `models.try.*`: what the CLI asks for, with errors as throws that its handler turns into refusals. */
export function tryModelSetup(place: TryModelPlace, model: TryModel, clock: Clock): TryModelSetup & { stop(): Promise<void> } {
  const stopped = new AbortController();
  let running: Promise<unknown> | undefined;
  const alone = async <T>(task: () => Promise<T>): Promise<T> => {
    if (running !== undefined)
      throw new UserError('TRY_MODEL_BUSY', 'the small model is being installed or removed already.', {
        fix: 'wait for the other command to end',
      });
    const work = task();
    running = work;
    try {
      return await work;
    } finally {
      running = undefined;
    }
  };
  return {
    async plan() {
      const { python, ...plan } = await planTryModel(place);
      return {
        ...plan,
        python: python.ok
          ? { ok: true, ...python.value }
          : { ok: false, message: python.error.message, ...(python.error.fix !== undefined && { fix: python.error.fix }) },
      };
    },
    install: (onProgress) =>
      alone(async () => {
        const done = await installTryModel(place, { clock, onProgress, signal: stopped.signal });
        if (!done.ok) throw done.error;
        return { status: 'installed', dir: done.value.dir, model: `try/${model.id}` };
      }),
    remove: () =>
      alone(async () => {
        await model.stop();
        const removed = removeTryModel(place);
        return { status: removed ? 'removed' : 'absent' };
      }),
    // A download must not outlive the gateway that shows it, nor meet the next one's.
    async stop() {
      stopped.abort();
      await running?.catch(() => {});
    },
  };
}
