import * as z from 'zod/mini';
import { defineMethod } from '../define.ts';
import { LIMITS } from '../limits.ts';
import { agentId, flag, idempotencyKey, limit, millis, offset, runId, sessionKey, text } from './params.ts';

/** A message may be as long as the frame allows; what the model can take is the agent's to say. */
const MESSAGE_CHARS = 1_000_000;
const attachments = z.optional(
  z
    .array(
      z.object({
        type: text(64),
        mimeType: text(128),
        fileName: text(256),
        content: z.string().check(z.maxLength(LIMITS.maxPayload)),
      }),
    )
    .check(z.maxLength(16)),
);

export const chatSend = defineMethod<Record<string, unknown>>()({
  name: 'chat.send',
  scope: 'operator.write',
  effect: 'write',
  maxBytes: LIMITS.maxPayload,
  params: z.object({
    sessionKey,
    sessionId: text(128),
    message: z.string().check(z.maxLength(MESSAGE_CHARS)),
    thinking: text(32),
    deliver: flag,
    attachments,
    timeoutMs: millis,
    idempotencyKey,
  }),
});
export const chatAbort = defineMethod<{ ok: true; aborted: boolean; runIds: readonly string[] }>()({
  name: 'chat.abort',
  scope: 'operator.write',
  effect: 'write',
  params: z.object({ sessionKey, runId: z.optional(runId), agentId }),
});

const historyParams = z.object({
  sessionKey,
  agentId,
  limit: limit(1000),
  offset,
  maxChars: z.optional(z.int().check(z.minimum(1))),
  maxBytes: z.optional(z.int().check(z.minimum(1))),
  cursor: text(2048),
});
export type HistoryParams = z.infer<typeof historyParams>;
export const chatHistory = defineMethod<Record<string, unknown>>()({
  name: 'chat.history',
  scope: 'operator.read',
  effect: 'read',
  cost: 'heavy',
  params: historyParams,
});
export const chatStartup = defineMethod<Record<string, unknown>>()({
  name: 'chat.startup',
  scope: 'operator.read',
  effect: 'read',
  cost: 'heavy',
  params: historyParams,
});
export const chatMetadata = defineMethod<Record<string, unknown>>()({
  name: 'chat.metadata',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ sessionKey: z.optional(sessionKey), agentId }),
});

/** Two answers under one id: `accepted` at once, the outcome when the run has ended. */
export const agent = defineMethod<Record<string, unknown>>()({
  name: 'agent',
  scope: 'operator.write',
  effect: 'write',
  maxBytes: LIMITS.maxPayload,
  params: z.object({
    message: z.string().check(z.minLength(1), z.maxLength(MESSAGE_CHARS)),
    agentId,
    to: text(256),
    sessionId: text(128),
    sessionKey: z.optional(sessionKey),
    thinking: text(32),
    deliver: flag,
    attachments,
    /** Seconds. */
    timeout: z.optional(z.number().check(z.minimum(0), z.maximum(86_400))),
    extraSystemPrompt: text(20_000),
    idempotencyKey,
    label: text(64),
  }),
});
export const agentWait = defineMethod<Record<string, unknown>>()({
  name: 'agent.wait',
  scope: 'operator.write',
  effect: 'read',
  params: z.object({ runId, timeoutMs: millis }),
});
