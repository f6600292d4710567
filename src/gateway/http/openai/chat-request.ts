import * as z from 'zod/mini';
import type { Agent, AgentView, Attachment, TurnRequest } from '../../../agent/api.ts';
import { agentOfSessionKey, canonicalSessionKey, DEFAULT_AGENT } from '../../../agent/session-key.ts';
import { isRecord } from '../../../lib/json.ts';
import { err, ok, type Result } from '../../../lib/result.ts';
import { type Fault, invalid } from '../fault.ts';
import type { HttpConfig } from '../ports.ts';

/** One call of `/v1/chat/completions`, understood. */
export interface ChatRequest {
  readonly turn: Omit<TurnRequest, 'runId' | 'origin'>;
  /** Nobody named the session: it was made for this call, and nobody will come back to it. */
  readonly isOneOff: boolean;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Goes back as it came. */
  readonly model: string;
}

export interface ChatRequestContext {
  readonly agent: Pick<Agent, 'agents' | 'models'>;
  readonly limits: HttpConfig['chatCompletions'];
  /** A header that came once. */
  readonly header: (name: string) => string | undefined;
  /** For the key of a one-off session. */
  readonly newId: () => string;
}

const MAX_MESSAGES = 4_096;
const between = (min: number, max: number) => z.nullish(z.number().check(z.minimum(min), z.maximum(max)));
const count = z.nullish(z.int().check(z.minimum(1), z.maximum(10_000_000)));

/** Sampling is checked where it acts; what has no meaning here (`tools`, `seed`, `metadata`, …) is accepted and ignored. */
const body = z.object({
  model: z.nullish(z.string().check(z.maxLength(256))),
  messages: z.array(z.looseObject({ role: z.string(), content: z.optional(z.unknown()) })).check(z.maxLength(MAX_MESSAGES)),
  stream: z.nullish(z.boolean()),
  stream_options: z.nullish(z.looseObject({ include_usage: z.nullish(z.boolean()) })),
  user: z.nullish(z.string().check(z.maxLength(256))),
  n: z.nullish(z.int().check(z.minimum(1), z.maximum(1))),
  temperature: between(0, 2),
  top_p: between(0, 1),
  presence_penalty: between(-2, 2),
  frequency_penalty: between(-2, 2),
  max_tokens: count,
  max_completion_tokens: count,
  stop: z.nullish(z.union([z.string().check(z.maxLength(256)), z.array(z.string().check(z.maxLength(256))).check(z.maxLength(4))])),
});
type Body = z.infer<typeof body>;
type Message = Body['messages'][number];

/** The whole of what a call means. Pure but for `newId`; every refusal says which part of the request it is about. */
export function chatRequest(value: unknown, context: ChatRequestContext): Result<ChatRequest, Fault> {
  const parsed = z.safeParse(body, value);
  if (!parsed.success) return err(shapeFault(parsed.error.issues[0]));
  const request = parsed.data;
  const session = sessionOf(request, context);
  if (!session.ok) return session;
  const backend = backendModel(context);
  if (!backend.ok) return backend;
  const talk = conversation(request.messages, context.limits);
  if (!talk.ok) return talk;

  const sampling = samplingOf(request);
  return ok({
    isOneOff: session.value.isOneOff,
    stream: request.stream === true,
    includeUsage: request.stream_options?.include_usage === true,
    model: request.model || 'openclaw',
    turn: {
      sessionKey: session.value.key,
      ...(session.value.isOneOff && { isOneOff: true }),
      ...talk.value,
      ...(backend.value === undefined ? {} : { model: backend.value }),
      ...(sampling === undefined ? {} : { sampling }),
    },
  });
}

function shapeFault(issue: z.core.$ZodIssue | undefined): Fault {
  const path = issue?.path.map(String).join('.') ?? '';
  const where = path === '' ? 'The body' : `\`${path}\``;
  const more = path === '' ? {} : { param: path };
  switch (issue?.code) {
    case 'invalid_type':
      return invalid(`${where} is not valid: expected ${issue.expected}.`, more);
    case 'too_big':
      return invalid(`${where} is too large: at most ${String(issue.maximum)}.`, more);
    case 'too_small':
      return invalid(`${where} is too small: at least ${String(issue.minimum)}.`, more);
    default:
      return invalid(`${where} is not valid.`, more);
  }
}

/** Header, then model; whoever names an agent that does not exist is told so, and nothing is made. */
function agentOf({ model }: Body, { agent, header }: ChatRequestContext): Result<string, Fault> {
  const agents: readonly AgentView[] = agent.agents();
  const byDefault = agents.find(({ isDefault }) => isDefault)?.id ?? DEFAULT_AGENT;
  const named = header('x-openclaw-agent-id') ?? header('x-openclaw-agent') ?? agentOfModel(model ?? 'openclaw');
  if (named === undefined) {
    return err(invalid('Invalid `model`. Use `openclaw` or `openclaw/<agentId>`.', { param: 'model', code: 'model_not_found' }));
  }
  const id = named === '' || named === 'default' ? byDefault : named;
  if (agents.some((candidate) => candidate.id === id)) return ok(id);
  return err(invalid(`Unknown agent '${id.slice(0, 64)}'.`, { param: 'model', code: 'model_not_found' }));
}

const agentOfModel = (model: string): string | undefined =>
  model === 'openclaw' || model === '' ? '' : /^(?:openclaw[/:]|agent:)([A-Za-z0-9_-]{1,64})$/.exec(model)?.[1];

/** Sessions of parts that are not a person's conversation. */
const RESERVED = /^(?:subagent|cron|acp|hook|node):/i;

function sessionOf(request: Body, context: ChatRequestContext): Result<{ key: string; isOneOff: boolean }, Fault> {
  const agent = agentOf(request, context);
  if (!agent.ok) return agent;
  const wish = context.header('x-openclaw-session-key');
  if (wish === undefined) {
    if (!request.user) return ok({ key: `agent:${agent.value}:openai:${context.newId()}`, isOneOff: true });
    const key = canonicalSessionKey(`agent:${agent.value}:openai-user:${request.user}`);
    return key === undefined ? err(invalid('`user` holds control characters.', { param: 'user' })) : ok({ key, isOneOff: false });
  }
  const key = canonicalSessionKey(wish, agent.value);
  const param = { param: 'x-openclaw-session-key' };
  if (key === undefined) return err(invalid('Invalid session key: expected agent:<agentId>:<name>.', param));
  const owner = agentOfSessionKey(key);
  if (RESERVED.test(key.slice(`agent:${owner}:`.length))) return err(invalid('That session key lies in a reserved namespace.', param));
  if (!context.agent.agents().some(({ id }) => id === owner)) return err(invalid(`Unknown agent '${owner}'.`, param));
  const named = context.header('x-openclaw-agent-id') ?? context.header('x-openclaw-agent');
  if (named && named !== 'default' && named !== owner) {
    return err(invalid(`The session belongs to agent '${owner}', not to '${named.slice(0, 64)}'.`, param));
  }
  return ok({ key, isOneOff: false });
}

function backendModel({ agent, header }: ChatRequestContext): Result<string | undefined, Fault> {
  const wish = header('x-openclaw-model');
  if (wish === undefined) return ok(undefined);
  if (agent.models().some(({ provider, id }) => `${provider}/${id}` === wish)) return ok(wish);
  return err(
    invalid(`Unknown model '${wish.slice(0, 128)}'.`, {
      status: 404,
      param: 'x-openclaw-model',
      code: 'model_not_found',
      fix: 'openclaw models list shows what can be asked for',
    }),
  );
}

function samplingOf(request: Body): TurnRequest['sampling'] {
  const { temperature, top_p: topP, stop } = request;
  const maxOutputTokens = request.max_completion_tokens ?? request.max_tokens;
  const sampling = {
    ...(typeof temperature === 'number' ? { temperature } : {}),
    ...(typeof topP === 'number' ? { topP } : {}),
    ...(typeof maxOutputTokens === 'number' ? { maxOutputTokens } : {}),
    ...(stop === null || stop === undefined ? {} : { stop: typeof stop === 'string' ? [stop] : stop }),
  };
  return Object.keys(sampling).length === 0 ? undefined : sampling;
}

type Conversation = Pick<TurnRequest, 'message' | 'attachments' | 'context' | 'extraSystemPrompt'>;

const ROLES: ReadonlySet<string> = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);

/** System and developer messages become instructions; the last user or tool message is the turn; what stands before it is its context. */
function conversation(messages: readonly Message[], limits: ChatRequestContext['limits']): Result<Conversation, Fault> {
  const instructions: string[] = [];
  const context: { role: 'user' | 'assistant'; text: string }[] = [];
  const active = messages.findLastIndex(({ role }) => role === 'user' || role === 'tool' || role === 'function');
  let turn: { text: string; attachments: readonly Attachment[] } | undefined;
  for (const [index, message] of messages.entries()) {
    const at = `messages.${index}`;
    const { role } = message;
    if (!ROLES.has(role)) return err(invalid(`\`${at}.role\` is not a role: ${role.slice(0, 32)}.`, { param: `${at}.role` }));
    const content = contentOf(message.content, `${at}.content`, index === active ? limits : undefined);
    if (!content.ok) return content;
    const { text } = content.value;
    if (role === 'system' || role === 'developer') {
      if (text !== '') instructions.push(text);
    } else if (index === active) turn = { ...content.value, text: role === 'user' ? text : toolText(message, text) };
    else if (index < active && text !== '') {
      context.push({
        role: role === 'assistant' ? 'assistant' : 'user',
        text: role === 'tool' || role === 'function' ? toolText(message, text) : text,
      });
    }
  }
  if (!turn || (turn.text.trim() === '' && turn.attachments.length === 0)) {
    return err(invalid('Missing user message in `messages`.', { param: 'messages' }));
  }
  return ok({
    message: turn.text,
    ...(turn.attachments.length === 0 ? {} : { attachments: turn.attachments }),
    ...(context.length === 0 ? {} : { context }),
    ...(instructions.length === 0 ? {} : { extraSystemPrompt: instructions.join('\n\n') }),
  });
}

/** The caller's own tools ran on its side; here their results are text. */
function toolText(message: Message, text: string): string {
  const name = typeof message['name'] === 'string' ? message['name'].slice(0, 64) : undefined;
  return `[tool result${name === undefined ? '' : ` of ${name}`}]\n${text}`;
}

/** Text and, in the active turn alone (`limits` set), images. Parts that nobody will read are skipped in earlier turns and refused in the active one. */
function contentOf(
  content: unknown,
  at: string,
  limits: ChatRequestContext['limits'] | undefined,
): Result<{ text: string; attachments: readonly Attachment[] }, Fault> {
  if (content === undefined || content === null) return ok({ text: '', attachments: [] });
  if (typeof content === 'string') return ok({ text: content, attachments: [] });
  if (!Array.isArray(content)) return err(invalid(`\`${at}\` must be a string or a list of parts.`, { param: at }));
  const texts: string[] = [];
  const attachments: Attachment[] = [];
  let imageBytes = 0;
  for (const [index, part] of (content as readonly unknown[]).entries()) {
    const where = `${at}.${index}`;
    if (typeof part === 'string') texts.push(part);
    else if (!isRecord(part)) return err(invalid(`\`${where}\` must be a part.`, { param: where }));
    else if (isTextPart(part['type'])) {
      if (typeof part['text'] !== 'string') return err(invalid(`\`${where}.text\` must be a string.`, { param: `${where}.text` }));
      texts.push(part['text']);
    } else if (!limits) continue;
    else if (part['type'] === 'image_url') {
      const image = imageOf(part['image_url'], `${where}.image_url`);
      if (!image.ok) return image;
      attachments.push(image.value);
      imageBytes += Math.floor((image.value.content.length * 3) / 4);
      if (attachments.length > limits.maxImageParts)
        return err(invalid(`At most ${limits.maxImageParts} images per request.`, { param: at }));
      if (imageBytes > limits.maxTotalImageBytes)
        return err(invalid(`All images together may have ${limits.maxTotalImageBytes} bytes.`, { param: at }));
    } else return err(invalid(`\`${where}.type\` is not supported: use text or image_url.`, { param: `${where}.type` }));
  }
  return ok({ text: texts.join('\n'), attachments });
}

const isTextPart = (type: unknown): boolean => type === 'text' || type === 'input_text' || type === 'output_text' || type === 'refusal';

const DATA_URL = /^data:(image\/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/]+={0,2})$/;

/** Only what came along: fetching an address that a caller names would let it look around from where this gateway stands. */
function imageOf(value: unknown, at: string): Result<Attachment, Fault> {
  const url = isRecord(value) ? value['url'] : value;
  if (typeof url !== 'string') return err(invalid(`\`${at}.url\` must be a string.`, { param: at }));
  if (!url.startsWith('data:')) {
    return err(invalid(`\`${at}\` must be a data: URL; images are not fetched.`, { param: at, fix: 'send it as data:image/png;base64,…' }));
  }
  const [, mimeType, content] = DATA_URL.exec(url) ?? [];
  if (mimeType === undefined || content === undefined) {
    return err(invalid(`\`${at}\` must be base64 of a PNG, JPEG, GIF or WebP image.`, { param: at }));
  }
  return ok({ mimeType, content });
}
