import type { ProviderFailure } from '../providers/model-stream.ts';

/** Tries after the first one, per model and step. */
export const MAX_RETRIES = 3;
const FIRST_DELAY_MS = 600;
const MAX_DELAY_MS = 30_000;

/** How a failed call goes on. `shown`: text of this step was already seen. `toolsRan`: this run has used tools. */
export type AfterFailure =
  | { readonly kind: 'retry'; readonly delayMs: number; readonly replace: boolean }
  | { readonly kind: 'next-model'; readonly replace: boolean }
  | { readonly kind: 'give-up' };

const FALL_BACK: ReadonlySet<string> = new Set(['auth', 'rate-limit', 'billing', 'timeout', 'unreachable', 'provider']);

/**
 * Text that was seen may only be taken back while no tool has run: what comes after a tool cannot be told again without
 * telling what it did. Without shown text a call may always be repeated: tool results stand in the transcript already.
 */
export function afterFailure(
  failure: ProviderFailure,
  state: { readonly retries: number; readonly shown: boolean; readonly toolsRan: boolean; readonly moreModels: boolean },
): AfterFailure {
  const mayRepeat = !state.shown || !state.toolsRan;
  if (!mayRepeat) return { kind: 'give-up' };
  if (failure.retry && state.retries < MAX_RETRIES) {
    const backOff = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** state.retries);
    return { kind: 'retry', delayMs: Math.max(backOff, failure.retryAfterMs ?? 0), replace: state.shown };
  }
  if (state.moreModels && !state.toolsRan && FALL_BACK.has(failure.error.kind)) return { kind: 'next-model', replace: state.shown };
  return { kind: 'give-up' };
}
