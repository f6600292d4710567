import * as z from 'zod/mini';
import { defineMethod } from '../define.ts';
import { agentId, nothing, sessionKey } from './params.ts';

export const agentsList = defineMethod<Record<string, unknown>>()({
  name: 'agents.list',
  scope: 'operator.read',
  effect: 'read',
  params: nothing,
});
export const agentIdentity = defineMethod<Record<string, unknown>>()({
  name: 'agent.identity.get',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ agentId, sessionKey: z.optional(sessionKey) }),
});
export const modelsList = defineMethod<{ models: readonly Record<string, unknown>[] }>()({
  name: 'models.list',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ view: z.optional(z.string().check(z.maxLength(32))), agentId, includeDetails: z.optional(z.boolean()) }),
});
