import type { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { Clock } from '../../lib/clock.ts';
import { isRecord, type Json } from '../../lib/json.ts';
import { turn } from '../../lib/turn.ts';
import type { ModelView, Usage } from '../api.ts';
import type { AgentTimeouts, Fetch, ProviderEntry } from '../ports.ts';
import { head } from '../text.ts';
import type { Meter } from './event-gate.ts';
import { ProviderRefused, ProviderSilent, ProviderTooMuch, providerFailure } from './failure.ts';
import { guardedFetch } from './guarded-fetch.ts';
import { ImageBody } from './image-body.ts';
import { type ConnectedModel, type ModelCall, type ModelPart, NO_USAGE, type PromptMessage } from './model-stream.ts';

// The SDK's own types, without a dependency on the package that declares them.
type SdkModel = ReturnType<ReturnType<typeof createOpenAICompatible>['chatModel']>;
type SdkOptions = Parameters<SdkModel['doStream']>[0];
type SdkPart = Awaited<ReturnType<SdkModel['doStream']>>['stream'] extends ReadableStream<infer Part> ? Part : never;
type SdkMessage = SdkOptions['prompt'][number];
type SdkUsage = Extract<SdkPart, { type: 'finish' }>['usage'];

/** Text and reasoning of one model call, UTF-16 units. Beyond it the model is repeating itself. */
const MAX_STEP_CHARS = 500_000;
/** Arguments of all tool calls of one answer, UTF-16 units. */
const MAX_TOOL_INPUT = 1_000_000;
/** So many pieces that come in one turn of the event loop stay as they are; those after them are joined. */
const LOOSE_PIECES = 4;
/** Tool calls of one answer. */
const MAX_TOOL_CALLS = 64;

export interface SdkModelOptions {
  readonly provider: ProviderEntry;
  readonly view: ModelView;
  readonly tools: boolean;
  readonly maxTokens?: number;
  readonly keyHint: string;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly timeouts: () => AgentTimeouts;
}

/**
 * A configured model, asked through the `ai` SDK's provider packages (the model interface itself: the tool loop, retries
 * and the journal are the run's). The package is loaded at the first call.
 */
export function sdkModel(options: SdkModelOptions): ConnectedModel {
  const { provider, view } = options;
  const secrets = [provider.apiKey ?? '', ...Object.values(provider.headers)].filter((secret) => secret !== '');
  const context = { provider: provider.id, model: view.id, baseUrl: provider.baseUrl, keyHint: options.keyHint, secrets };
  return {
    view,
    api: typeof provider.api === 'string' ? provider.api : provider.api.unsupported,
    tools: options.tools,
    ...(options.maxTokens !== undefined && { maxTokens: options.maxTokens }),
    async *stream(call, signal) {
      let begun = false;
      try {
        const meter = { bytes: 0 };
        const images = new ImageBody();
        const model = await load(provider, view.id, images.filling(options.fetch), meter);
        for await (const part of sdkParts(model, callOptions(call, view, images), signal, options, meter)) {
          if (part.type === 'failed-with') {
            yield { type: 'failed', failure: providerFailure(part.error, context, begun) };
            return;
          }
          begun = true;
          yield part;
          if (part.type === 'finish') return;
        }
        // Ended by the abort: the run knows why.
        if (signal.aborted) return;
        yield { type: 'failed', failure: providerFailure(new StreamEnded('ended'), context, begun) };
      } catch (thrown) {
        if (signal.aborted) return;
        yield { type: 'failed', failure: providerFailure(thrown, context, begun) };
      }
    },
  };
}

class StreamEnded extends Error {
  override readonly name = 'StreamEnded';
}

/** A model for one call. Making one is cheap once its package is loaded. */
async function load(provider: ProviderEntry, modelId: string, fetch: Fetch, meter: Meter): Promise<SdkModel> {
  if (typeof provider.api !== 'string') {
    throw new ProviderRefused(
      'bad-request',
      `The API "${provider.api.unsupported}" of ${provider.id} is not spoken by this version.`,
      `Set models.providers.${provider.id}.api to openai-completions, openai-responses or anthropic-messages.`,
    );
  }
  const hasKey = provider.apiKey !== undefined || Object.keys(provider.headers).length > 0;
  const guarded = guardedFetch(fetch, provider.baseUrl, hasKey, provider.id, meter);
  const headers = { ...provider.headers };
  switch (provider.api) {
    case 'openai-completions': {
      const { createOpenAICompatible: create } = await import('@ai-sdk/openai-compatible');
      return create({
        name: provider.id,
        baseURL: provider.baseUrl,
        ...(provider.apiKey !== undefined && { apiKey: provider.apiKey }),
        headers,
        fetch: guarded,
        includeUsage: true,
      }).chatModel(modelId);
    }
    // Address and key are always given: left out, the SDK would take them from the environment.
    case 'openai-responses': {
      const { createOpenAI } = await import('@ai-sdk/openai');
      return createOpenAI({ baseURL: provider.baseUrl, apiKey: provider.apiKey ?? '-', headers, fetch: guarded }).responses(modelId);
    }
    case 'anthropic-messages': {
      const { createAnthropic } = await import('@ai-sdk/anthropic');
      return createAnthropic({ baseURL: provider.baseUrl, apiKey: provider.apiKey ?? '-', headers, fetch: guarded })(modelId);
    }
  }
}

type RawPart = Exclude<ModelPart, { type: 'failed' }> | { readonly type: 'failed-with'; readonly error: unknown };

/**
 * The SDK's stream, reduced to what the run needs, bounded, with a deadline for the first part and between parts. What
 * comes in one turn of the event loop is handed on together.
 */
async function* sdkParts(
  model: SdkModel,
  call: SdkOptions,
  signal: AbortSignal,
  options: SdkModelOptions,
  meter: Meter,
): AsyncGenerator<RawPart> {
  // Our own controller, so that a silent provider can be hung up on as well as an aborted one.
  const hangUp = new AbortController();
  const onAbort = (): void => hangUp.abort();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) hangUp.abort();
  let reader: ReadableStreamDefaultReader<SdkPart> | undefined;
  try {
    const deadline = <T>(work: Promise<T>, ms: number): Promise<T | typeof ABORTED> => withDeadline(work, ms, hangUp.signal, options.clock);
    const timeouts = options.timeouts();
    const answer = await deadline(Promise.resolve(model.doStream({ ...call, abortSignal: hangUp.signal })), timeouts.firstPart);
    if (answer === ABORTED) return;
    reader = answer.stream.getReader();
    const parts = new Parts(meter);
    let due: Promise<typeof DUE> | undefined;
    let next = reader.read();
    for (;;) {
      const read = await (due === undefined
        ? deadline(next, parts.hasBegun ? timeouts.idle : timeouts.firstPart)
        : Promise.race([next, due]));
      if (read === ABORTED) return;
      if (read !== DUE && !read.done && !parts.take(read.value)) {
        next = reader.read();
        if (!parts.isEmpty) due ??= turn().then(() => DUE);
        continue;
      }
      due = undefined;
      yield* parts.drain();
      if (read !== DUE) return;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    hangUp.abort();
    // Not awaited: a reader of a dead connection may take its time.
    reader?.cancel().catch(() => {});
  }
}

const DUE = Symbol('due');

/** What has come of one answer and was not handed on yet, within the bounds of an answer. */
class Parts {
  readonly #meter: Meter;
  #out: RawPart[] = [];
  #chars = 0;
  #calls = 0;
  #inputs = 0;
  #hasBegun = false;
  #hasText = false;

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  /** Something of the answer itself has come. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }
  get isEmpty(): boolean {
    return this.#out.length === 0;
  }
  drain(): readonly RawPart[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** Takes a part in. True: it was the last one. */
  take(part: SdkPart): boolean {
    switch (part.type) {
      case 'text-delta':
      case 'reasoning-delta':
        return this.#text(part.type === 'text-delta' ? 'text' : 'thinking', part.delta);
      case 'tool-input-start':
        this.#begun();
        return ++this.#calls > MAX_TOOL_CALLS && this.#fail(new ProviderTooMuch(`more than ${MAX_TOOL_CALLS} tool calls`));
      case 'tool-input-delta':
        this.#begun();
        this.#inputs += part.delta.length;
        return this.#inputs > MAX_TOOL_INPUT && this.#fail(new ProviderTooMuch(`tool calls of more than ${MAX_TOOL_INPUT} characters`));
      case 'tool-call':
        this.#begun();
        if (part.providerExecuted !== true) {
          this.#out.push({ type: 'tool-call', id: part.toolCallId, name: part.toolName, input: part.input });
        }
        return false;
      case 'error':
        // The SDK goes on after a bad chunk; what follows it cannot be trusted to be whole.
        return this.#fail(part.error);
      case 'finish': {
        const reason = part.finishReason.unified;
        if (reason === 'interrupted' || reason === 'error') return this.#fail(new StreamEnded('ended'));
        this.#out.push({ type: 'finish', reason: finishReason(reason), usage: usageOf(part.usage) });
        return true;
      }
      default:
        return false;
    }
  }

  #begun(): void {
    this.#hasBegun = true;
    this.#meter.bytes = 0;
  }

  #fail(error: unknown): boolean {
    this.#out.push({ type: 'failed-with', error });
    return true;
  }

  #text(type: 'text' | 'thinking', whole: string): boolean {
    this.#hasBegun = true;
    if (whole === '') return false;
    this.#meter.bytes = 0;
    const room = MAX_STEP_CHARS - this.#chars;
    const delta = whole.length > room ? head(whole, room) : whole;
    this.#chars += delta.length;
    const last = this.#out.at(-1);
    if (last?.type === type && this.#out.length >= LOOSE_PIECES) this.#out[this.#out.length - 1] = { type, delta: last.delta + delta };
    else if (delta !== '') this.#out.push({ type, delta });
    if (type === 'text') this.#hasText = true;
    if (delta.length === whole.length) return false;
    // An answer of reasoning alone is none.
    if (!this.#hasText) return this.#fail(new ProviderTooMuch(`more than ${MAX_STEP_CHARS} characters of reasoning`));
    this.#out.push({ type: 'finish', reason: 'length', usage: NO_USAGE });
    return true;
  }
}

const ABORTED = Symbol('aborted');

function withDeadline<T>(work: Promise<T>, ms: number, signal: AbortSignal, clock: Clock): Promise<T | typeof ABORTED> {
  if (signal.aborted) {
    work.catch(() => {});
    return Promise.resolve(ABORTED);
  }
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      cancel();
      resolve(ABORTED);
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', onAbort);
      reject(new ProviderSilent(ms));
    });
    const settled = (): void => {
      cancel();
      signal.removeEventListener('abort', onAbort);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(
      (value) => {
        settled();
        resolve(value);
      },
      (thrown: unknown) => {
        settled();
        reject(thrown);
      },
    );
  });
}

function finishReason(unified: string): 'stop' | 'length' | 'tool-calls' | 'content-filter' | 'other' {
  switch (unified) {
    case 'stop':
    case 'length':
    case 'tool-calls':
    case 'content-filter':
      return unified;
    default:
      return 'other';
  }
}

function usageOf(usage: SdkUsage): Usage {
  const cacheRead = count(usage.inputTokens.cacheRead);
  const cacheWrite = count(usage.inputTokens.cacheWrite);
  const input = count(usage.inputTokens.total);
  const output = count(usage.outputTokens.total);
  return { input, output, cacheRead, cacheWrite, total: input + output };
}
const count = (value: number | undefined): number => (value !== undefined && Number.isFinite(value) && value > 0 ? Math.floor(value) : 0);

function callOptions(call: ModelCall, view: ModelView, images: ImageBody): SdkOptions {
  const prompt: SdkMessage[] = [];
  if (call.system !== '') prompt.push({ role: 'system', content: call.system });
  for (const message of call.messages) prompt.push(sdkMessage(message, images));
  const reasoning = !view.reasoning || call.thinking === undefined ? undefined : call.thinking === 'off' ? 'none' : call.thinking;
  return {
    prompt,
    ...(call.tools.length > 0 && {
      tools: call.tools.map(({ name, description, parameters }) => ({
        type: 'function' as const,
        name,
        description,
        inputSchema: parameters as SdkSchema,
      })),
    }),
    ...(reasoning !== undefined && { reasoning }),
    ...(call.temperature !== undefined && { temperature: call.temperature }),
    ...(call.topP !== undefined && { topP: call.topP }),
    ...(call.maxOutputTokens !== undefined && { maxOutputTokens: call.maxOutputTokens }),
    ...(call.stop !== undefined && call.stop.length > 0 && { stopSequences: [...call.stop] }),
  };
}
type SdkSchema = Extract<NonNullable<SdkOptions['tools']>[number], { type: 'function' }>['inputSchema'];

function sdkMessage(message: PromptMessage, images: ImageBody): SdkMessage {
  switch (message.role) {
    case 'user':
      return {
        role: 'user',
        content: [
          ...(message.text === '' && message.images.length > 0 ? [] : [{ type: 'text' as const, text: message.text }]),
          ...message.images.map(({ mimeType, base64 }) => ({
            type: 'file' as const,
            mediaType: mimeType,
            data: { type: 'data' as const, data: images.markFor(base64) },
          })),
        ],
      };
    case 'assistant':
      return {
        role: 'assistant',
        content: [
          ...(message.text === '' ? [] : [{ type: 'text' as const, text: message.text }]),
          ...message.toolCalls.map(({ id, name, arguments: input }) => ({
            type: 'tool-call' as const,
            toolCallId: id,
            toolName: name,
            input: (isRecord(input) ? input : {}) as Json,
          })),
        ],
      };
    case 'tool':
      return {
        role: 'tool',
        content: [
          {
            type: 'tool-result',
            toolCallId: message.toolCallId,
            toolName: message.toolName,
            output: { type: message.isError ? 'error-text' : 'text', value: message.text },
          },
        ],
      };
  }
}
