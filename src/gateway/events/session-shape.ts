import type { SessionEvent, SessionPage, SessionView, TranscriptEntry, TranscriptMessage } from '../../agent/api.ts';
import { mainSessionKey } from '../../agent/session-key.ts';
import type { JsonObject } from '../../lib/json.ts';
import { turn } from '../../lib/turn.ts';
import type { Protocol } from '../../protocol/version.ts';
import { cutText } from './cut-text.ts';
import { messageOf } from './message-shape.ts';
import { objectText } from './object-text.ts';

/** The model that a session without one of its own would use. */
export interface SessionModelDefaults {
  readonly modelProvider: string;
  readonly model: string;
  /** Context window in tokens; undefined where the provider does not say. */
  readonly contextTokens: number | undefined;
}

/** How much a model thinks is not a choice yet: panels of protocol 4 would make it with a method that does not exist. */
export const NO_THINKING = { thinkingLevels: [{ id: 'off', label: 'off' }], thinkingOptions: ['off'], thinkingDefault: 'off' };

/** The `defaults` block of `sessions.list`, `chat.history` and `status`. */
export function defaultsBlock(protocol: Protocol, defaults: SessionModelDefaults): JsonObject {
  const { modelProvider, model, contextTokens } = defaults;
  const block = { modelProvider, model, contextTokens: contextTokens ?? null };
  return protocol === 3 ? block : { ...block, ...NO_THINKING, modelSelectionTarget: 'session' };
}

export interface SessionRowOptions {
  readonly defaults: SessionModelDefaults;
  readonly now: number;
  readonly includeDerivedTitles?: boolean;
  readonly includeLastMessage?: boolean;
}

/** One session as a row of `sessions.list`. Facts of parts that do not exist here have their resting value. */
export function sessionRow(protocol: Protocol, session: SessionView, options: SessionRowOptions): JsonObject {
  return protocol === 3 ? row3(session, options) : row4(session, options);
}

const modelOf = (session: SessionView, defaults: SessionModelDefaults): JsonObject => ({
  modelProvider: session.model?.provider ?? defaults.modelProvider,
  model: session.model?.id ?? defaults.model,
});

const isDefaultModel = ({ model }: SessionView, defaults: SessionModelDefaults): boolean =>
  model === undefined || (model.provider === defaults.modelProvider && model.id === defaults.model);

const texts = (session: SessionView, options: SessionRowOptions): JsonObject => ({
  ...(options.includeDerivedTitles && session.derivedTitle !== undefined ? { derivedTitle: session.derivedTitle } : {}),
  ...(options.includeLastMessage && session.lastMessagePreview !== undefined ? { lastMessagePreview: session.lastMessagePreview } : {}),
});

/** A model has answered here. */
const used = ({ usage }: SessionView): boolean => usage.total > 0;

/** `totalTokens` is how full the context is, not a sum: clients show it against `contextTokens`. */
const tokens = (session: SessionView): JsonObject =>
  used(session)
    ? {
        inputTokens: session.usage.input,
        outputTokens: session.usage.output,
        ...(session.contextUsed === undefined ? {} : { totalTokens: session.contextUsed }),
        totalTokensFresh: session.contextUsed !== undefined,
      }
    : { totalTokensFresh: false };

function row3(session: SessionView, options: SessionRowOptions): JsonObject {
  const { channel } = session;
  return {
    key: session.key,
    kind: 'direct',
    ...(session.label === undefined ? {} : { label: session.label }),
    chatType: 'direct',
    origin: { provider: channel, surface: channel, chatType: 'direct' },
    updatedAt: session.updatedAt,
    sessionId: session.sessionId,
    systemSent: used(session),
    abortedLastRun: session.abortedLastRun,
    ...tokens(session),
    ...modelOf(session, options.defaults),
    contextTokens: session.contextTokens ?? options.defaults.contextTokens ?? null,
    deliveryContext: { channel },
    lastChannel: channel,
    ...texts(session, options),
  };
}

function row4(session: SessionView, options: SessionRowOptions): JsonObject {
  const isMain = session.key === mainSessionKey(session.agentId);
  return {
    key: session.key,
    visibility: 'shared',
    permissionModePending: false,
    createdVia: 'operator',
    createdAt: session.createdAt,
    kind: 'direct',
    classification: isMain ? 'main' : 'direct',
    agentId: session.agentId,
    isMain,
    isBackground: false,
    ...(session.label === undefined ? {} : { label: session.label, displayName: session.label }),
    chatType: 'direct',
    updatedAt: session.updatedAt,
    archived: false,
    pinned: false,
    unread: false,
    lastInteractionAt: session.updatedAt,
    lastActivityAt: session.updatedAt,
    lastChannel: session.channel,
    sessionId: session.sessionId,
    systemSent: used(session),
    abortedLastRun: session.abortedLastRun,
    ...NO_THINKING,
    effectiveFastMode: false,
    effectiveFastModeSource: 'default',
    ...tokens(session),
    ...(session.status === 'idle' ? {} : { status: session.status }),
    effectiveResponseUsage: 'off',
    // What this gateway does with a message that comes while a run is on: it waits for its turn.
    effectiveQueueMode: 'queue',
    ...modelOf(session, options.defaults),
    modelOverrideSource: isDefaultModel(session, options.defaults) ? null : 'user',
    runtimeSelectionLocked: false,
    contextTokens: session.contextTokens ?? options.defaults.contextTokens ?? null,
    snapshotAt: options.now,
    hasActiveRun: session.activeRunIds.length > 0,
    activeRunIds: session.activeRunIds,
    ...texts(session, options),
  };
}

/** `sessionInfo` of protocol 4 for a key under which nothing was ever said. */
export function unknownSessionInfo(key: string, agentId: string, defaults: SessionModelDefaults, now: number): JsonObject {
  const isMain = key === mainSessionKey(agentId);
  return {
    key,
    permissionModePending: false,
    kind: 'direct',
    classification: isMain ? 'main' : 'custom',
    agentId,
    isMain,
    isBackground: false,
    updatedAt: null,
    archived: false,
    pinned: false,
    unread: false,
    ...NO_THINKING,
    effectiveFastMode: false,
    effectiveFastModeSource: 'default',
    totalTokensFresh: false,
    effectiveResponseUsage: 'off',
    effectiveQueueMode: 'queue',
    modelProvider: defaults.modelProvider,
    model: defaults.model,
    modelOverrideSource: null,
    runtimeSelectionLocked: false,
    contextTokens: defaults.contextTokens ?? null,
    snapshotAt: now,
    hasActiveRun: false,
    activeRunIds: [],
    activeLeafEntryId: null,
  };
}

/** Rows per `sessions.list` when the caller names no limit; protocol 4 announces it. */
export const SESSIONS_LIMIT = 100;

export interface SessionListInput extends SessionRowOptions {
  /** A part of the list. */
  readonly read: (limit: number, offset: number) => SessionPage;
  readonly limit: number;
  readonly offset: number;
}

/** Rows that are read and shaped between two turns of the event loop. */
const ROWS_PER_TURN = 50;

/** The JSON text of the result of `sessions.list`. */
export async function sessionsListResult(protocol: Protocol, { read, limit, offset, ...options }: SessionListInput): Promise<string> {
  const rows: string[] = [];
  // One that is used meanwhile goes to the front, and others come again in its place.
  const seen = new Set<string>();
  let total = 0;
  for (let from = 0; from < limit; from += ROWS_PER_TURN) {
    if (from > 0) await turn();
    const asked = Math.min(ROWS_PER_TURN, limit - from);
    const page = read(asked, offset + from);
    if (from === 0) total = page.total;
    for (const session of page.sessions) {
      if (seen.has(session.key)) continue;
      seen.add(session.key);
      rows.push(JSON.stringify(sessionRow(protocol, session, options)));
    }
    if (page.sessions.length < asked) break;
  }
  const sessions = `[${rows.join(',')}]`;
  const defaults = defaultsBlock(protocol, options.defaults);
  const base = { ts: options.now, path: '(multiple)', count: rows.length };
  if (protocol === 3) return objectText({ ...base, defaults }, { sessions }, {});
  const next = offset + rows.length;
  const hasMore = next < total;
  const pages = { totalCount: total, limitApplied: limit, nextOffset: hasMore ? next : null, hasMore };
  return objectText({ ...base, ...pages, owners: [], defaults }, { sessions }, {});
}

/** `entry` of `sessions.reset`, and the rest of its result. */
export function sessionResetResult(protocol: Protocol, session: SessionView, defaults: SessionModelDefaults): JsonObject {
  const resolved = modelOf(session, defaults);
  const entry = {
    sessionId: session.sessionId,
    updatedAt: session.updatedAt,
    systemSent: false,
    abortedLastRun: false,
    ...resolved,
    inputTokens: 0,
    outputTokens: 0,
    totalTokens: 0,
    totalTokensFresh: true,
  };
  return { ok: true, key: session.key, entry, ...(protocol === 3 ? {} : { resolved }) };
}

/** The answer to `sessions.patch`. There is no store file; its path says so, as everywhere. */
export function sessionPatchResult(protocol: Protocol, session: SessionView, defaults: SessionModelDefaults): JsonObject {
  const resolved = modelOf(session, defaults);
  const entry = { sessionId: session.sessionId, updatedAt: session.updatedAt, ...resolved };
  return { ok: true, path: '(database)', key: session.key, entry, ...(protocol === 3 ? {} : { resolved }) };
}

export interface PreviewLine {
  readonly role: string;
  readonly text: string;
}

/** One session of `sessions.preview`; undefined lines: there is no such session. */
export function previewOf(key: string, lines: readonly PreviewLine[] | undefined): JsonObject {
  if (lines === undefined) return { key, status: 'missing', items: [] };
  return { key, status: lines.length === 0 ? 'empty' : 'ok', items: lines.map(({ role, text }) => ({ role, text })) };
}

/** What a preview shows of one message. `maxChars` counts with the dots of a cut. */
export function previewLines(protocol: Protocol, message: TranscriptMessage, maxChars: number): PreviewLine[] {
  const item = (role: string, text: string): PreviewLine[] =>
    text.trim() === '' ? [] : [{ role, text: cutText(text.trim(), maxChars, '...') }];
  switch (message.role) {
    case 'user':
      return item('user', message.text);
    case 'toolResult':
      return [];
    case 'assistant': {
      const said = message.content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
      // Only the older line shows what was called.
      const calls =
        protocol === 3 ? message.content.flatMap((part) => (part.type === 'toolCall' ? item('tool', `call ${part.name}`) : [])) : [];
      return [...item('assistant', said), ...calls];
    }
  }
}

/** `sessions.changed`, for those who asked for it. */
export function sessionChangedPayload(event: Extract<SessionEvent, { type: 'changed' }>, options: SessionRowOptions): JsonObject {
  const { session, reason, ts } = event;
  return { sessionKey: session.key, agentId: session.agentId, reason, ts, session: sessionRow(4, session, options) };
}

/** `session.message`, for those who asked for this session's; also an item of a `delta` history. */
export function sessionMessagePayload(
  protocol: Protocol,
  { session, entry }: { readonly session: SessionView; readonly entry: TranscriptEntry },
  options: SessionRowOptions,
): JsonObject {
  return {
    sessionKey: session.key,
    agentId: session.agentId,
    senderIsOwner: true,
    message: messageOf(protocol, entry, session.sessionId),
    messageId: entry.id,
    messageSeq: entry.seq,
    session: sessionRow(4, session, options),
  };
}
