import type { Clock } from '../../lib/clock.ts';
import { messageOf, UserError } from '../../lib/errors.ts';
import type { ModelView } from '../api.ts';
import type { AgentTimeouts, Fetch, TryModel } from '../ports.ts';
import type { ConnectedModel } from './model-stream.ts';
import { sdkModel } from './sdk-model.ts';

/** A model this small may begin to repeat itself and never end: a quarter of its context is answer enough. Tokens. */
const MAX_ANSWER = 512;

export interface TryModelConnectionOptions {
  readonly view: ModelView;
  readonly tryModel: TryModel;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly timeouts: () => AgentTimeouts;
}

/** The installed small model: started at the first question, asked like any other server, let go when it has answered. */
export function tryModelConnection({ view, tryModel, fetch, clock, timeouts }: TryModelConnectionOptions): ConnectedModel {
  return {
    view,
    api: 'openai-completions',
    maxTokens: MAX_ANSWER,
    // It is too small to use them, and they would fill its context.
    tools: false,
    async *stream(call, signal) {
      let at: { readonly baseUrl: string; readonly apiKey: string };
      try {
        at = await tryModel.serve(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        const fix = thrown instanceof UserError ? thrown.fix : undefined;
        yield {
          type: 'failed',
          failure: {
            error: {
              kind: 'unreachable',
              message: messageOf(thrown),
              provider: view.provider,
              model: view.id,
              ...(fix !== undefined && { fix }),
            },
            retry: false,
          },
        };
        return;
      }
      try {
        const provider = { id: view.provider, source: 'config', api: 'openai-completions', headers: {}, models: [], ...at } as const;
        const keyHint = 'Install it anew: openclaw models try';
        yield* sdkModel({ provider, view, tools: false, keyHint, fetch, clock, timeouts }).stream(call, signal);
      } finally {
        tryModel.release();
      }
    },
  };
}
