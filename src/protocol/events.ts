import type { ConnectChallenge, PresenceEntry } from './connect.ts';
import { defineEvent } from './define.ts';

/** Every event this gateway sends, with who may receive it and how it survives a slow reader. */
export const EVENTS = [
  defineEvent<ConnectChallenge>()({ name: 'connect.challenge', scope: 'any', durability: 'ephemeral' }),
  // Chat and agent events are what operators with `read` came for; deltas are coalesced for a slow reader, endings never.
  defineEvent<unknown>()({ name: 'chat', scope: 'operator.read', durability: 'log' }),
  defineEvent<unknown>()({ name: 'agent', scope: 'operator.read', durability: 'log' }),
  defineEvent<{ presence: readonly PresenceEntry[] }>()({ name: 'presence', scope: 'operator.read', durability: 'state' }),
  defineEvent<{ ts: number }>()({ name: 'tick', scope: 'any', durability: 'ephemeral' }),
  defineEvent<unknown>()({ name: 'health', scope: 'any', durability: 'state' }),
  defineEvent<{ reason: string; restartExpectedMs?: number | null }>()({ name: 'shutdown', scope: 'any', durability: 'log' }),
  defineEvent<unknown>()({ name: 'device.pair.requested', scope: 'operator.pairing', durability: 'log' }),
  defineEvent<unknown>()({ name: 'device.pair.resolved', scope: 'operator.pairing', durability: 'log' }),
  defineEvent<unknown>()({ name: 'sessions.changed', scope: 'operator.read', durability: 'log' }),
  defineEvent<unknown>()({ name: 'session.message', scope: 'operator.read', durability: 'log' }),
] as const;
export type EventName = (typeof EVENTS)[number]['name'];
