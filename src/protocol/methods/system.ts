import * as z from 'zod/mini';
import type { PresenceEntry } from '../connect.ts';
import { defineMethod } from '../define.ts';
import { flag, limit, millis, nothing } from './params.ts';

/** What the gateway says about itself. Shapes: the public protocol of OpenClaw clients, 3 and 4. */
export const health = defineMethod<{ ok: boolean; ts: number; durationMs: number }>()({
  name: 'health',
  scope: 'any',
  effect: 'read',
  params: z.object({ probe: flag }),
});
export const status = defineMethod<Record<string, unknown>>()({
  name: 'status',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ includeChannelSummary: flag }),
});
export const systemPresence = defineMethod<readonly PresenceEntry[]>()({
  name: 'system-presence',
  scope: 'operator.read',
  effect: 'read',
  params: nothing,
});
export const identity = defineMethod<{ deviceId: string; publicKey: string }>()({
  name: 'gateway.identity.get',
  scope: 'operator.read',
  effect: 'read',
  params: nothing,
});
export const logsTail = defineMethod<{
  file: string;
  cursor: number;
  size: number;
  lines: readonly string[];
  truncated: boolean;
  reset: boolean;
}>()({
  name: 'logs.tail',
  scope: 'operator.read',
  effect: 'read',
  cost: 'heavy',
  params: z.object({
    cursor: z.optional(z.int().check(z.minimum(0))),
    limit: limit(5000),
    maxBytes: z.optional(z.int().check(z.minimum(1), z.maximum(1_000_000))),
  }),
});
export const configGet = defineMethod<Record<string, unknown>>()({
  name: 'config.get',
  scope: 'operator.read',
  effect: 'read',
  cost: 'heavy',
  params: nothing,
});

/** Parts that this gateway does not have yet answer truthfully and empty, so that existing control panels stay usable. */
export const channelsStatus = defineMethod<Record<string, unknown>>()({
  name: 'channels.status',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ probe: flag, timeoutMs: millis }),
});
export const lastHeartbeat = defineMethod<null>()({ name: 'last-heartbeat', scope: 'operator.read', effect: 'read', params: nothing });
export const cronList = defineMethod<Record<string, unknown>>()({
  name: 'cron.list',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ includeDisabled: flag, limit: limit(200), offset: z.optional(z.int().check(z.minimum(0))) }),
});
export const skillsStatus = defineMethod<Record<string, unknown>>()({
  name: 'skills.status',
  scope: 'operator.read',
  effect: 'read',
  params: z.object({ agentId: z.optional(z.string().check(z.maxLength(64))) }),
});
export const nodeList = defineMethod<Record<string, unknown>>()({
  name: 'node.list',
  scope: 'operator.read',
  effect: 'read',
  params: nothing,
});
