import * as z from 'zod/mini';
import { defineMethod } from '../define.ts';
import { agentId, flag, limit, nothing, offset, runId, sessionKey, text } from './params.ts';

export const sessionsList = defineMethod<Record<string, unknown>>()({
  name: 'sessions.list',
  scope: 'operator.read',
  effect: 'read',
  cost: 'heavy',
  params: z.object({
    /** Existing panels ask for 10,000; a page holds at most 1,000. */
    limit: limit(100_000),
    offset,
    activeMinutes: z.optional(z.number().check(z.minimum(0))),
    includeGlobal: flag,
    includeUnknown: flag,
    includeDerivedTitles: flag,
    includeLastMessage: flag,
    label: text(64),
    agentId,
    search: text(256),
    spawnedBy: text(512),
  }),
});
export const sessionsResolve = defineMethod<Record<string, unknown>>()({
  name: 'sessions.resolve',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ key: text(512), sessionId: text(128), label: text(64), agentId, includeGlobal: flag, includeUnknown: flag }),
});
export const sessionsPreview = defineMethod<Record<string, unknown>>()({
  name: 'sessions.preview',
  scope: 'operator.read',
  effect: 'read',
  cost: 'heavy',
  params: z.object({
    keys: z.array(sessionKey).check(z.minLength(1), z.maxLength(64)),
    limit: limit(200),
    maxChars: z.optional(z.int().check(z.minimum(20), z.maximum(10_000))),
  }),
});
export const sessionsReset = defineMethod<Record<string, unknown>>()({
  name: 'sessions.reset',
  scope: 'operator.admin',
  effect: 'write',
  params: z.object({ key: sessionKey, agentId, reason: z.optional(z.enum(['new', 'reset'])) }),
});
/** Of what may be changed about a session this version changes the model; null takes the choice back. */
export const sessionsPatch = defineMethod<Record<string, unknown>>()({
  name: 'sessions.patch',
  scope: 'operator.admin',
  effect: 'write',
  params: z.object({ key: sessionKey, agentId, unread: flag, model: z.optional(z.nullable(z.string().check(z.maxLength(256)))) }),
});
/** Messages that were set aside because the gateway died over them; what may be done about one of them. */
export const sessionsHeldList = defineMethod<{ held: readonly Record<string, unknown>[] }>()({
  name: 'sessions.held.list',
  scope: 'operator.admin',
  effect: 'read',
  params: nothing,
});
export const sessionsHeldRetry = defineMethod<{ runId: string; retried: boolean }>()({
  name: 'sessions.held.retry',
  scope: 'operator.admin',
  effect: 'control',
  params: z.object({ runId }),
});
export const sessionsHeldDrop = defineMethod<{ runId: string; dropped: boolean }>()({
  name: 'sessions.held.drop',
  scope: 'operator.admin',
  effect: 'control',
  params: z.object({ runId }),
});
/** Wishes of one connection about events: `sessions.changed` and `session.message` go only to who asked. */
export const sessionsSubscribe = defineMethod<{ subscribed: boolean }>()({
  name: 'sessions.subscribe',
  scope: 'operator.read',
  effect: 'read',
  params: nothing,
});
export const sessionsMessagesSubscribe = defineMethod<{ subscribed: boolean; key: string }>()({
  name: 'sessions.messages.subscribe',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ key: sessionKey, agentId, includeApprovals: flag }),
});
export const sessionsMessagesUnsubscribe = defineMethod<{ subscribed: boolean; key: string }>()({
  name: 'sessions.messages.unsubscribe',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ key: sessionKey, agentId }),
});
export const sessionsCatalog = defineMethod<Record<string, unknown>>()({
  name: 'sessions.catalog.list',
  scope: 'operator.read',
  effect: 'read',
  params: nothing,
});
