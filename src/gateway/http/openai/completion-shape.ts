import type { Usage } from '../../../agent/api.ts';

/** What the objects of one answer share. */
export interface CompletionHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** Said where an answer is empty; clients of the reference know it. */
export const EMPTY_ANSWER = 'No response from OpenClaw.';

export const completion = (head: CompletionHead, text: string, stopReason: string, usage: Usage): unknown => ({
  id: head.id,
  object: 'chat.completion',
  created: head.created,
  model: head.model,
  choices: [
    { index: 0, message: { role: 'assistant', content: text === '' ? EMPTY_ANSWER : text }, finish_reason: finishReason(stopReason) },
  ],
  usage: usageOf(usage),
});

const chunk = (head: CompletionHead, choices: readonly unknown[], more: object = {}): string =>
  JSON.stringify({ id: head.id, object: 'chat.completion.chunk', created: head.created, model: head.model, choices, ...more });

export const roleChunk = (head: CompletionHead): string => chunk(head, [{ index: 0, delta: { role: 'assistant' }, finish_reason: null }]);
export const textChunk = (head: CompletionHead, content: string): string =>
  chunk(head, [{ index: 0, delta: { content }, finish_reason: null }]);
export const stopChunk = (head: CompletionHead, stopReason: string): string =>
  chunk(head, [{ index: 0, delta: {}, finish_reason: finishReason(stopReason) }]);
export const usageChunk = (head: CompletionHead, usage: Usage): string => chunk(head, [], { usage: usageOf(usage) });
export const DONE = '[DONE]';

function finishReason(stopReason: string): 'stop' | 'length' | 'content_filter' {
  if (stopReason === 'length' || stopReason === 'max_tokens') return 'length';
  return stopReason === 'content-filter' || stopReason === 'content_filter' ? 'content_filter' : 'stop';
}

function usageOf({ input, output, total, cacheRead }: Usage): unknown {
  // What was read from a cache is part of the prompt in this API, and beside `input` in ours.
  const prompt = Math.max(input, total - output);
  return {
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt + output,
    prompt_tokens_details: { cached_tokens: cacheRead },
  };
}
