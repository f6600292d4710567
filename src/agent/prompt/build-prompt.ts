import { err, ok, type Result } from '../../lib/result.ts';
import type { ModelView, RunError } from '../api.ts';
import type { AgentEntry, AgentStore, LoadedRequest } from '../ports.ts';
import type { ModelCall, PromptMessage, ToolSpec } from '../providers/model-stream.ts';
import type { Fence } from './fence.ts';
import { alternating, history, messageTokens } from './history.ts';
import { clipTokens, estimateTokens } from './tokens.ts';
import { fitFiles, type WorkspaceFile } from './workspace-files.ts';

/** What a context is taken to hold when nobody says. */
export const UNKNOWN_WINDOW = 32_768;
/** From this size on there is room for what is nice to know. */
const LARGE_WINDOW = 16_384;
/** Estimates are on the high side: only what is this much too large is refused without asking. */
const CERTAINLY_TOO_LARGE = 1.3;

export interface PromptInput {
  readonly agent: AgentEntry;
  readonly view: ModelView;
  /** Tokens; undefined: not known. */
  readonly window: number | undefined;
  readonly sessionId: string;
  readonly request: LoadedRequest;
  readonly files: readonly WorkspaceFile[];
  readonly tools: readonly ToolSpec[];
  readonly fence: Fence;
  readonly store: Pick<AgentStore, 'entries'>;
  /** Wall clock, ms. */
  readonly now: number;
}

export interface BuiltPrompt {
  readonly call: ModelCall;
  /** Estimated tokens of the prompt. */
  readonly tokens: number;
  /** Room for one tool result, tokens. */
  readonly resultTokens: number;
}

/**
 * A prompt that fits its model: in a small context the system prompt is two lines, workspace files are cut, tools are
 * left out when they would take more than a fifth of it, and old turns go first.
 */
export async function buildPrompt(input: PromptInput): Promise<Result<BuiltPrompt, RunError>> {
  const { request, fence, view } = input;
  const window = input.window ?? UNKNOWN_WINDOW;
  const reserve = Math.min(request.sampling?.maxOutputTokens ?? Math.max(256, Math.min(4_096, window / 4)), window / 2);
  const budget = window - reserve;

  const toolTokens = estimateTokens(JSON.stringify(input.tools));
  const tools = toolTokens > budget / 5 ? [] : input.tools;
  const context: PromptMessage[] = (request.context ?? []).map(({ role, text }) =>
    role === 'user' ? { role, text, images: [] } : { role, text, toolCalls: [] },
  );
  const message = userMessage(request, view);
  const messageSize = messageTokens(message);

  const extra = request.extraSystemPrompt?.trim() ?? '';
  const fixed = fixedPart(input, tools.length > 0, window);
  const spent = estimateTokens(fixed) + messageSize + (tools.length > 0 ? toolTokens : 0);
  if (input.window !== undefined && spent > input.window * CERTAINLY_TOO_LARGE) return err(tooLarge(view, input.window, spent));

  const left = Math.max(0, budget - spent);
  const extraText =
    extra === ''
      ? ''
      : fence.wrap('instructions of the calling program, below all of the above in rank', clipTokens(extra, Math.max(64, left * 0.6)));
  const afterExtra = Math.max(0, left - estimateTokens(extraText));
  const files = fitFiles(input.files, afterExtra * 0.5);
  const fileText = files.map(({ name, text }) => `## ${name}\n${text}`).join('\n\n');
  const forHistory = Math.max(0, afterExtra - estimateTokens(fileText));
  const contextSize = context.reduce((sum, each) => sum + messageTokens(each), 0);
  const brought = contextSize <= forHistory ? context : newest(context, forHistory);
  const past = await history(input.store, {
    sessionId: input.sessionId,
    runId: request.runId,
    budget: Math.max(0, forHistory - brought.reduce((sum, each) => sum + messageTokens(each), 0)),
    withTools: tools.length > 0,
    fence,
  });

  const cut = past.cut || brought.length < context.length ? 'Earlier parts of this conversation were left out for lack of room.' : '';
  const system = [fixed, fileText, extraText, cut].filter((part) => part !== '').join('\n\n');
  const messages = alternating([...past.messages, ...brought, message]);
  const tokens =
    estimateTokens(system) + messages.reduce((sum, each) => sum + messageTokens(each), 0) + (tools.length > 0 ? toolTokens : 0);
  const { sampling, thinking } = request;
  return ok({
    tokens,
    resultTokens: Math.max(256, (window - tokens) / 4),
    call: {
      system,
      messages,
      tools,
      ...(thinking !== undefined && { thinking }),
      ...(sampling?.temperature !== undefined && { temperature: sampling.temperature }),
      ...(sampling?.topP !== undefined && { topP: sampling.topP }),
      ...(sampling?.maxOutputTokens !== undefined && { maxOutputTokens: sampling.maxOutputTokens }),
      ...(sampling?.stop !== undefined && { stop: sampling.stop }),
    },
  });
}

function fixedPart({ agent, files, fence, request, now }: PromptInput, hasTools: boolean, window: number): string {
  const large = window >= LARGE_WINDOW;
  const lines = [`You are ${agent.name}, a personal assistant. Answer briefly and truthfully, in the language of the message.`];
  if (large) lines.push(`Today is ${new Date(now).toISOString().slice(0, 10)}.`);
  if (hasTools) lines.push('Your tools work on files of one directory, your workspace. Paths are relative to it.');
  if (hasTools || request.extraSystemPrompt !== undefined) lines.push(fence.note);
  if (files.length > 0) lines.push('Your owner keeps these notes for you:');
  return lines.join('\n');
}

function userMessage(request: LoadedRequest, view: ModelView): PromptMessage {
  const attachments = request.attachments ?? [];
  const canSee = view.input.includes('image');
  const images = canSee ? attachments.map(({ mimeType, base64 }) => ({ mimeType, base64 })) : [];
  const notes = canSee
    ? ''
    : attachments.map(({ fileName, mimeType }) => `\n[attached: ${fileName ?? mimeType}; this model cannot see images]`).join('');
  return { role: 'user', text: request.message + notes, images };
}

function newest(messages: readonly PromptMessage[], budget: number): readonly PromptMessage[] {
  let left = budget;
  const kept: PromptMessage[] = [];
  for (const message of messages.toReversed()) {
    left -= messageTokens(message);
    if (left < 0) break;
    kept.push(message);
  }
  return kept.reverse();
}

const tooLarge = (view: ModelView, window: number, needed: number): RunError => ({
  kind: 'context-too-small',
  message: `This message does not fit into the context of ${view.id}: it holds ${window} tokens, the message needs about ${Math.round(needed)}.`,
  fix: 'Send less, start the model server with a larger context, or choose another model: openclaw models list',
  provider: view.provider,
  model: view.id,
});
