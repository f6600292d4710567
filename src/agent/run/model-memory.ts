import type { Clock } from '../../lib/clock.ts';
import type { ModelView, RunError } from '../api.ts';
import type { ProviderFailure } from '../providers/model-stream.ts';

/** What models have taught about themselves since the start: their real context, that they have no tools, that they refuse. */
export interface ModelMemory {
  /** Tokens that the model's context is known to hold. */
  window(view: ModelView): number | undefined;
  tools(view: ModelView): boolean;
  /** Takes a lesson from a failure; true when asking again with another prompt may help. */
  learn(view: ModelView, failure: ProviderFailure): boolean;
  /** Remembers for a minute that a model refuses. */
  cool(view: ModelView, kind: RunError['kind']): void;
  cooling(view: ModelView): boolean;
}

const COOL_MS = 60_000;
const MAX_MODELS = 500;
const COOLED: ReadonlySet<string> = new Set(['auth', 'rate-limit', 'billing', 'timeout']);

export function createModelMemory(clock: Clock): ModelMemory {
  const windows = new Map<string, number>();
  const noTools = new Set<string>();
  const cooled = new Map<string, number>();
  const keyOf = (view: ModelView): string => `${view.provider}/${view.id}`;
  const bound = (map: { size: number; clear(): void }): void => {
    if (map.size > MAX_MODELS) map.clear();
  };
  return {
    window(view) {
      const learned = windows.get(keyOf(view));
      if (learned === undefined || view.contextWindow === undefined) return learned ?? view.contextWindow;
      return Math.min(learned, view.contextWindow);
    },
    tools: (view) => !noTools.has(keyOf(view)),
    learn(view, failure) {
      const key = keyOf(view);
      if (failure.toolsUnsupported === true && !noTools.has(key)) {
        bound(noTools);
        noTools.add(key);
        return true;
      }
      if (failure.contextTokens === undefined || failure.contextTokens < 64) return false;
      const known = windows.get(key) ?? view.contextWindow;
      if (known !== undefined && known <= failure.contextTokens) return false;
      bound(windows);
      windows.set(key, failure.contextTokens);
      return true;
    },
    cool(view, kind) {
      bound(cooled);
      if (COOLED.has(kind)) cooled.set(keyOf(view), clock.monotonic() + COOL_MS);
    },
    cooling(view) {
      const until = cooled.get(keyOf(view));
      if (until === undefined) return false;
      if (until > clock.monotonic()) return true;
      cooled.delete(keyOf(view));
      return false;
    },
  };
}
