import type { TryModel } from '../agent/ports.ts';
import { installTryModel, removeTryModel } from '../agent/try-model/install.ts';
import { planTryModel, type TryModelPlace } from '../agent/try-model/plan.ts';
import type { Clock } from '../lib/clock.ts';
import { UserError } from '../lib/errors.ts';
import type { TryModelSetup } from './methods/local.ts';

/** `models.try.*`: what the CLI asks for, with errors as throws that its handler turns into refusals. */
export function tryModelSetup(place: TryModelPlace, model: TryModel, clock: Clock, onChange: () => void): TryModelSetup {
  let busy = false;
  const alone = async <T>(task: () => Promise<T>): Promise<T> => {
    if (busy)
      throw new UserError('TRY_MODEL_BUSY', 'the small model is being installed or removed already.', {
        fix: 'wait for the other command to end',
      });
    busy = true;
    try {
      return await task();
    } finally {
      busy = false;
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
        const done = await installTryModel(place, { clock, onProgress });
        if (!done.ok) throw done.error;
        onChange();
        return { status: 'installed', dir: done.value.dir, model: `try/${model.id}` };
      }),
    remove: () =>
      alone(async () => {
        await model.stop();
        const removed = removeTryModel(place);
        onChange();
        return { status: removed ? 'removed' : 'absent' };
      }),
  };
}
