import type { Json } from '../../lib/json.ts';
import type { ModelView, RunError, ThinkingLevel, Usage } from '../api.ts';

/** A model that can be asked. The run loop knows no other shape, whoever answers behind it. */
export interface ConnectedModel {
  readonly view: ModelView;
  readonly api: string;
  /** Whether tools may be offered at all (the loop still leaves them out where they do not fit). */
  readonly tools: boolean;
  readonly maxTokens?: number;
  /**
   * One model call. The stream's last part is `finish` or `failed`, always; it does not throw past its consumer.
   * After an abort it ends at once with whatever it has, and the connection to the provider is closed.
   */
  stream(call: ModelCall, signal: AbortSignal): AsyncIterable<ModelPart>;
}

export interface ModelCall {
  readonly system: string;
  readonly messages: readonly PromptMessage[];
  readonly tools: readonly ToolSpec[];
  readonly thinking?: ThinkingLevel;
  readonly temperature?: number;
  readonly topP?: number;
  readonly maxOutputTokens?: number;
  readonly stop?: readonly string[];
}
export type PromptMessage =
  | { readonly role: 'user'; readonly text: string; readonly images: readonly { readonly mimeType: string; readonly base64: Blob }[] }
  | { readonly role: 'assistant'; readonly text: string; readonly toolCalls: readonly PromptToolCall[] }
  | { readonly role: 'tool'; readonly toolCallId: string; readonly toolName: string; readonly text: string; readonly isError: boolean };
export interface PromptToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: Json;
}
export interface ToolSpec {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of an object. */
  readonly parameters: { readonly [key: string]: Json };
}

export type ModelPart =
  | { readonly type: 'text'; readonly delta: string }
  | { readonly type: 'thinking'; readonly delta: string }
  | { readonly type: 'tool-call'; readonly id: string; readonly name: string; readonly input: string }
  | { readonly type: 'finish'; readonly reason: 'stop' | 'length' | 'tool-calls' | 'content-filter' | 'other'; readonly usage: Usage }
  | { readonly type: 'failed'; readonly failure: ProviderFailure };

/** Why a model call failed, and what may be done about it. */
export interface ProviderFailure {
  readonly error: RunError;
  /** Asking the same model again may help. */
  readonly retry: boolean;
  /** What the provider asked for. */
  readonly retryAfterMs?: number;
  /** The server told how many tokens it can hold, and how many it counted in the prompt. */
  readonly contextTokens?: number;
  readonly promptTokens?: number;
  /** The server cannot do tools with this model. */
  readonly toolsUnsupported?: boolean;
}

export const NO_USAGE: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
export const addUsage = (a: Usage, b: Usage): Usage => ({
  input: a.input + b.input,
  output: a.output + b.output,
  cacheRead: a.cacheRead + b.cacheRead,
  cacheWrite: a.cacheWrite + b.cacheWrite,
  total: a.total + b.total,
});
