import type { Agent, SessionPage } from '../../agent/api.ts';
import { agentOfSessionKey } from '../../agent/session-key.ts';
import type { Clock } from '../../lib/clock.ts';
import type { ParamsOf } from '../../protocol/define.ts';
import { isRefusal, refuse } from '../../protocol/errors.ts';
import type * as wire from '../../protocol/methods/sessions.ts';
import { type Handler, Prebuilt } from '../call.ts';
import { objectText } from '../events/object-text.ts';
import { SESSIONS_LIMIT, sessionPatchResult, sessionResetResult, sessionsListResult } from '../events/session-shape.ts';
import { modelDefaults } from './model-defaults.ts';
import { sessionOf } from './session-of.ts';
import { sessionPreviews } from './session-previews.ts';

/** Rows of one page of `sessions.list`. */
const MAX_SESSIONS = 1_000;
/** Sessions one connection may follow message by message. */
const MAX_FOLLOWED = 256;

const notHeld = (runId: string) =>
  refuse('INVALID_REQUEST', `no message is set aside under ${runId.slice(0, 128)}`, { details: { code: 'NOT_HELD' } });

export function sessionHandlers(agent: Agent, clock: Clock) {
  return {
    'sessions.list': async (params: ParamsOf<typeof wire.sessionsList>, call) => {
      const limit = Math.min(params.limit ?? SESSIONS_LIMIT, MAX_SESSIONS);
      const query = {
        ...(params.agentId !== undefined && { agentId: params.agentId }),
        ...(params.activeMinutes !== undefined && { activeMinutes: params.activeMinutes }),
        ...(params.search !== undefined && { search: params.search }),
        ...(params.label !== undefined && { label: params.label }),
      };
      // No session begins another one here: all of them would be the wrong answer to who was begun by one.
      const read = (rows: number, offset: number): SessionPage =>
        params.spawnedBy === undefined ? agent.sessions({ ...query, limit: rows, offset }) : { total: 0, sessions: [] };
      const text = await sessionsListResult(call.protocol, {
        read,
        limit,
        offset: params.offset ?? 0,
        defaults: modelDefaults(agent),
        now: clock.now(),
        includeDerivedTitles: params.includeDerivedTitles ?? false,
        includeLastMessage: params.includeLastMessage ?? false,
      });
      return new Prebuilt(text);
    },
    'sessions.resolve': (params: ParamsOf<typeof wire.sessionsResolve>, call) => {
      const given = [params.key, params.sessionId, params.label].filter((value) => value !== undefined && value !== '');
      if (given.length !== 1) return refuse('INVALID_REQUEST', 'invalid sessions.resolve params: exactly one of key, sessionId, label');
      let key: string | undefined;
      if (params.key !== undefined) {
        const canonical = sessionOf(agent, params.key, params.agentId);
        if (isRefusal(canonical)) return refuse('INVALID_REQUEST', `No session found: ${params.key}`);
        key = agent.resolveSession({ key: canonical });
      } else {
        key = agent.resolveSession({
          ...(params.sessionId !== undefined && { sessionId: params.sessionId }),
          ...(params.label !== undefined && { label: params.label }),
        });
      }
      if (key === undefined) return refuse('INVALID_REQUEST', `No session found: ${given[0]}`);
      return call.protocol === 3 ? { ok: true, key } : { ok: true, key, agentId: agentOfSessionKey(key) };
    },
    'sessions.preview': async (params: ParamsOf<typeof wire.sessionsPreview>, call) => {
      const previews = await sessionPreviews(agent, call.protocol, params.keys, params.limit ?? 12, params.maxChars ?? 240);
      return new Prebuilt(objectText({ ts: clock.now() }, { previews: `[${previews.join(',')}]` }, {}));
    },
    'sessions.reset': async (params: ParamsOf<typeof wire.sessionsReset>, call) => {
      const key = sessionOf(agent, params.key, params.agentId);
      if (isRefusal(key)) return key;
      return sessionResetResult(call.protocol, await agent.resetSession(key, params.reason ?? 'reset'), modelDefaults(agent));
    },
    'sessions.patch': async (params: ParamsOf<typeof wire.sessionsPatch>, call) => {
      const key = sessionOf(agent, params.key, params.agentId);
      if (isRefusal(key)) return key;
      // The panel marks what it shows as read at every load; nothing is ever unread here, so that is true already.
      const session = params.model === undefined && params.unread === false ? agent.session(key) : undefined;
      if (session !== undefined) return sessionPatchResult(call.protocol, session, modelDefaults(agent));
      // Saying yes to a change that is not made would be worse than saying no.
      if (params.model === undefined) return refuse('INVALID_REQUEST', 'invalid sessions.patch params: this version changes model alone');
      const changed = await agent.setSessionModel(key, params.model);
      if ('code' in changed) return refuse(changed.code, changed.message, changed);
      return sessionPatchResult(call.protocol, changed, modelDefaults(agent));
    },
    'sessions.held.list': () => ({ held: agent.heldRuns() }),
    'sessions.held.retry': async ({ runId }: ParamsOf<typeof wire.sessionsHeldRetry>) =>
      (await agent.retryHeld(runId)) ? { runId, retried: true } : notHeld(runId),
    'sessions.held.drop': async ({ runId }: ParamsOf<typeof wire.sessionsHeldDrop>) =>
      (await agent.dropHeld(runId)) ? { runId, dropped: true } : notHeld(runId),
    'sessions.subscribe': (_params: unknown, call) => {
      call.subscriptions.sessions = true;
      return { subscribed: true };
    },
    'sessions.messages.subscribe': (params: ParamsOf<typeof wire.sessionsMessagesSubscribe>, call) => {
      const key = sessionOf(agent, params.key, params.agentId);
      if (isRefusal(key)) return key;
      const { messages } = call.subscriptions;
      if (!messages.has(key) && messages.size >= MAX_FOLLOWED) {
        return refuse('INVALID_REQUEST', `this connection follows ${MAX_FOLLOWED} sessions already; unsubscribe from one first`);
      }
      messages.add(key);
      // Nothing asks for approval here, so nothing waits for one.
      const approvalReplay = { sessionKey: key, updatedAtMs: clock.now(), approvals: [], truncated: false };
      return { subscribed: true, key, ...(params.includeApprovals === true && { approvalReplay }) };
    },
    'sessions.messages.unsubscribe': (params: ParamsOf<typeof wire.sessionsMessagesUnsubscribe>, call) => {
      const key = sessionOf(agent, params.key, params.agentId);
      if (isRefusal(key)) return key;
      call.subscriptions.messages.delete(key);
      return { subscribed: false, key };
    },
    // Sessions of other programs, by catalogue and host (the panel asks with `limitPerHost`); there are none. The result was never recorded,
    // only that an error shows as a red box: an empty list under each name that a reader may look for shows as nothing.
    'sessions.catalog.list': () => ({ catalogs: [], hosts: [], sessions: [] }),
  } satisfies Record<string, Handler<never>>;
}
