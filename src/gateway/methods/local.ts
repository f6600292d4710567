import type { Agent } from '../../agent/api.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf, UserError } from '../../lib/errors.ts';
import type { Result } from '../../lib/result.ts';
import type { ParamsOf } from '../../protocol/define.ts';
import { isRefusal, refuse } from '../../protocol/errors.ts';
import type * as wire from '../../protocol/methods/local.ts';
import type { Handler } from '../call.ts';
import { modelsListResult } from '../events/model-shape.ts';
import { sessionOf } from './session-of.ts';

/** The small local model of `openclaw models try`, as a thing to put in place and take away. */
export interface TryModelSetup {
  plan(): Promise<wire.TryPlan>;
  install(onProgress: (progress: wire.TryProgress) => void): Promise<Record<string, unknown>>;
  remove(): Promise<Record<string, unknown>>;
}

export interface LocalPorts {
  readonly agent: Agent;
  readonly clock: Clock;
  readonly stop: (why: string) => void;
  readonly restart: (why: string) => void;
  /** Why a restart would not come up again. */
  readonly restartProblem: () => Promise<UserError | undefined>;
  /** Tries one durable write; how long it took (ms), or why there is none now. */
  readonly durableWrite: () => Promise<Result<number, UserError>>;
  readonly tryModel: TryModelSetup;
}

/** What only the admin socket offers. */
export function localHandlers(ports: LocalPorts) {
  const { agent, clock } = ports;
  // The answer goes out first: whoever asked would otherwise see its connection close instead.
  const afterAnswer = (task: () => void): void => void clock.after(20, task);
  return {
    'gateway.stop': () => {
      afterAnswer(() => ports.stop('openclaw gateway stop'));
      return { ok: true, pid: process.pid };
    },
    'gateway.restart': async () => {
      const problem = await ports.restartProblem();
      if (problem !== undefined)
        return refuse('INVALID_REQUEST', `not restarted: ${problem.message}`, { details: { code: problem.code, fix: problem.fix } });
      afterAnswer(() => ports.restart('openclaw gateway restart'));
      return { ok: true, pid: process.pid };
    },
    'gateway.selfcheck': async () => {
      const write = await ports.durableWrite();
      if (write.ok) return { ok: true, writeMs: write.value };
      const { message, code, fix } = write.error;
      return refuse('UNAVAILABLE', message, { retryable: true, details: { code, fix } });
    },
    'events.subscribe': (_params: unknown, call) => {
      call.subscriptions.all = true;
      return { subscribed: true };
    },
    'models.refresh': async (_params: unknown, call) => modelsListResult(call.protocol, await agent.refreshModels(), agent.defaultModel()),
    'models.set': async (params: ParamsOf<typeof wire.sessionSetModel>) => {
      const key = sessionOf(agent, params.sessionKey ?? '');
      if (isRefusal(key)) return key;
      const answer = await agent.setSessionModel(key, params.model);
      if ('code' in answer) return refuse(answer.code, answer.message, answer);
      return { ok: true, key, model: answer.model ?? null };
    },
    'models.try.plan': () => ports.tryModel.plan(),
    'models.try.install': async (_params: unknown, call) => {
      try {
        return await ports.tryModel.install((progress) => call.more({ status: 'progress', ...progress }));
      } catch (thrown) {
        return refuse('UNAVAILABLE', messageOf(thrown), {
          retryable: false,
          ...(thrown instanceof UserError && { details: { code: thrown.code, fix: thrown.fix } }),
        });
      }
    },
    'models.try.remove': async () => {
      try {
        return await ports.tryModel.remove();
      } catch (thrown) {
        return refuse('UNAVAILABLE', messageOf(thrown), {
          retryable: false,
          ...(thrown instanceof UserError && { details: { code: thrown.code, fix: thrown.fix } }),
        });
      }
    },
  } satisfies Record<string, Handler<never>>;
}
