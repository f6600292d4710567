import type { ModelView, SessionView } from '../api.ts';
import type { SessionRecord } from '../ports.ts';

/** A session as clients see it: what is stored, and what its runs are doing now. */
export function sessionView(
  record: SessionRecord,
  active: { readonly runIds: readonly string[]; readonly running: boolean },
  model: ModelView | undefined,
): SessionView {
  return {
    key: record.key,
    sessionId: record.sessionId,
    agentId: record.agentId,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    usage: record.usage,
    contextUsed: record.contextUsed,
    contextTokens: model?.contextWindow,
    status: active.running ? 'running' : record.lastStatus,
    activeRunIds: active.runIds,
    abortedLastRun: record.lastStatus === 'killed',
    channel: record.channel,
    ...(record.label !== undefined && { label: record.label }),
    ...(model !== undefined && { model: { provider: model.provider, id: model.id } }),
    ...(record.title !== undefined && { derivedTitle: record.title }),
    ...(record.preview !== undefined && { lastMessagePreview: record.preview }),
  };
}
