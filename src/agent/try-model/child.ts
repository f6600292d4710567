import { type Cancel, type Clock, systemClock } from '../../lib/clock.ts';
import { UserError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { childEnv } from '../../process/child-env.ts';
import { type Supervised, supervise } from '../../process/supervise.ts';
import { crypto, path } from '../builtins.ts';
import type { TryModel } from '../ports.ts';
import { TRY_MODEL } from './package.ts';
import { isTryModelInstalled, type TryModelPlace, tryModelDir, tryModelPython } from './plan.ts';

/** Without a question for this long (ms), the server is ended; its memory is a small machine's. It starts in two seconds. */
export const IDLE_MS = 10 * 60_000;
const READY_TIMEOUT_MS = 60_000;
const LISTENING = /^listening (http:\/\/127\.0\.0\.1:\d{1,5})$/;

/**
 * The installed small model as a supervised child: started at the first question, on a free loopback port, behind a key
 * that is new at every start (other users of this machine can reach the port), ended when idle and with the gateway.
 */
export function createTryModel(place: TryModelPlace, log: Log, clock: Clock = systemClock): TryModel {
  let key = '';
  let url = '';
  let inUse = 0;
  let idle: Cancel = () => {};
  let child: Supervised | undefined;

  const make = (): Supervised =>
    supervise({
      name: 'local model',
      clock,
      command: () => {
        key = crypto().randomBytes(32).toString('base64url');
        const python = tryModelPython(tryModelDir(place));
        const serve = path.join(place.assetsDir, 'try-model', 'serve.py');
        return { argv: [python, '-I', serve], env: childEnv(place.env, { extra: { OPENCLAW_TRY_KEY: key } }) };
      },
      ready: {
        timeoutMs: READY_TIMEOUT_MS,
        line(line, from) {
          const found = from === 'stdout' ? LISTENING.exec(line)?.[1] : undefined;
          if (found !== undefined) url = found;
          return found !== undefined;
        },
      },
      onState: (state) => {
        if (state.kind === 'failed') log.warn('the local model ended', { why: state.why });
      },
    });

  return {
    id: TRY_MODEL.id,
    contextWindow: TRY_MODEL.contextWindow,
    installed: () => isTryModelInstalled(place),
    async serve(signal) {
      idle();
      inUse++;
      try {
        child ??= make();
        if (child.state().kind !== 'active') child.start();
        const state = await untilAborted(child.settled(), signal);
        if (state?.kind === 'active') return { baseUrl: `${url}/v1`, apiKey: key };
        const why = state?.kind === 'failed' ? state.why : 'it was stopped';
        throw new UserError('TRY_MODEL_START', `The small local model does not start: ${why}.`, {
          fix: 'openclaw models try --remove, then openclaw models try',
        });
      } catch (thrown) {
        this.release();
        throw thrown;
      }
    },
    release() {
      inUse = Math.max(0, inUse - 1);
      if (inUse > 0) return;
      idle();
      idle = clock.after(IDLE_MS, () => void child?.stop());
    },
    async stop() {
      idle();
      await child?.stop();
    },
  };
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const onAbort = (): void => resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    void work.then((value) => {
      signal.removeEventListener('abort', onAbort);
      resolve(value);
    });
  });
}
