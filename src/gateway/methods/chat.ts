import type {
  AbortRequest,
  Agent,
  Attachment,
  RunView,
  ThinkingLevel,
  TranscriptPage,
  TranscriptQuery,
  TurnRequest,
} from '../../agent/api.ts';
import { agentOfSessionKey } from '../../agent/session-key.ts';
import type { Clock } from '../../lib/clock.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { ParamsOf } from '../../protocol/define.ts';
import { isRefusal, Refusal, refuse, type WireError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type * as wire from '../../protocol/methods/chat.ts';
import type { HistoryParams } from '../../protocol/methods/chat.ts';
import { holdsScope } from '../../protocol/scopes.ts';
import { type Call, type Handler, Prebuilt } from '../call.ts';
import { historyResult, startupResult } from '../events/history-shape.ts';
import { chatMetadataResult } from '../events/model-shape.ts';
import { runErrorText } from '../events/run-error-text.ts';
import { WaitingCalls } from '../waiting-calls.ts';
import { modelDefaults } from './model-defaults.ts';
import { sessionOf } from './session-of.ts';
import { isStopPhrase } from './stop-phrases.ts';

const THINKING: readonly string[] = ['off', 'minimal', 'low', 'medium', 'high'] satisfies readonly ThinkingLevel[];
const thinkingLevel = (text: string | undefined): ThinkingLevel | undefined =>
  text !== undefined && THINKING.includes(text) ? (text as ThinkingLevel) : undefined;

/** Decoded attachments may be this large, each. */
const ATTACHMENT_BYTES = 5_000_000;

export function chatHandlers(agent: Agent, clock: Clock) {
  const waiting = new WaitingCalls();
  const history = async (call: Call, params: HistoryParams, shape: (history: string) => string = (text) => text): Promise<unknown> => {
    const key = sessionOf(agent, params.sessionKey, params.agentId);
    if (isRefusal(key)) return key;
    const read = (query: TranscriptQuery): TranscriptPage => agent.transcript(key, { ...query, wholeUpTo: LIMITS.historyMessageBytes });
    const facts = () => ({ session: agent.session(key), defaults: modelDefaults(agent), now: clock.now() });
    return new Prebuilt(shape(await historyResult(call.protocol, params, read, facts)));
  };
  const metadata = (): JsonObject => chatMetadataResult(agent.models(), agent.defaultModel(), CHAT_COMMANDS);
  return {
    'chat.send': async (params: ParamsOf<typeof wire.chatSend>, call) => {
      const sessionKey = sessionOf(agent, params.sessionKey);
      if (isRefusal(sessionKey)) return sessionKey;
      if (isStopPhrase(params.message)) return abort(agent, call, { sessionKey, reason: 'stop' });
      const attachments = attachmentsOf(params.attachments);
      if (isRefusal(attachments)) return attachments;
      if (params.message.trim() === '' && attachments.length === 0) return refuse('INVALID_REQUEST', 'message or attachment required');
      const thinking = thinkingLevel(params.thinking);
      const outcome = await agent.send(
        {
          runId: params.idempotencyKey,
          sessionKey,
          message: params.message,
          ...(attachments.length > 0 && { attachments }),
          origin: originOf(call, 'chat'),
          ...(thinking !== undefined && { thinking }),
          ...(params.timeoutMs !== undefined && params.timeoutMs > 0 && { timeoutMs: params.timeoutMs }),
        },
        call.holdEvents,
      );
      switch (outcome.status) {
        case 'refused':
          return refusal(outcome.error);
        case 'ended':
          return outcome.run.status === 'ok'
            ? { runId: outcome.runId, status: 'ok' }
            : { runId: outcome.runId, status: 'error', summary: summaryOf(outcome.run) };
        default:
          return { runId: outcome.runId, status: outcome.status };
      }
    },

    'chat.abort': (params: ParamsOf<typeof wire.chatAbort>, call) => {
      const sessionKey = sessionOf(agent, params.sessionKey, params.agentId);
      if (isRefusal(sessionKey)) return sessionKey;
      return abort(agent, call, { sessionKey, reason: 'rpc', ...(params.runId !== undefined && { runId: params.runId }) });
    },

    'chat.history': (params: ParamsOf<typeof wire.chatHistory>, call) => history(call, params),
    'chat.startup': (params: ParamsOf<typeof wire.chatStartup>, call) => history(call, params, (text) => startupResult(text, metadata())),
    'chat.metadata': (params: ParamsOf<typeof wire.chatMetadata>) => {
      const sessionKey = sessionOf(agent, params.sessionKey ?? '', params.agentId);
      return isRefusal(sessionKey) ? sessionKey : metadata();
    },

    // Two steps, so that what waits for the answer does not hold the question with its attachments.
    agent: (params: ParamsOf<typeof wire.agent>, call) =>
      begin(params, call).then((begun) => (isRefusal(begun) ? begun : answerOf(begun, call))),

    'agent.wait': async (params: ParamsOf<typeof wire.agentWait>, call) => {
      const run = await waiting.during(call.principal.id, () => agent.wait(params.runId, params.timeoutMs ?? 30_000));
      if (isRefusal(run)) return run;
      if (run === undefined || run.status === 'queued' || run.status === 'running') return { runId: params.runId, status: 'timeout' };
      return {
        runId: params.runId,
        status: run.status === 'ok' ? 'ok' : 'error',
        ...(run.startedAt !== undefined && { startedAt: run.startedAt }),
        ...(run.endedAt !== undefined && { endedAt: run.endedAt }),
        ...(run.status !== 'ok' && { error: summaryOf(run) }),
      };
    },
  } satisfies Record<string, Handler<never>>;

  async function begin(params: ParamsOf<typeof wire.agent>, call: Call): Promise<Refusal | { readonly runId: string }> {
    const named = params.sessionId === undefined ? undefined : agent.resolveSession({ sessionId: params.sessionId });
    if (params.sessionId !== undefined && named === undefined) return refuse('INVALID_REQUEST', `No session found: ${params.sessionId}`);
    const sessionKey = sessionOf(agent, params.sessionKey ?? named ?? '', params.agentId);
    if (isRefusal(sessionKey)) return sessionKey;
    const attachments = attachmentsOf(params.attachments);
    if (isRefusal(attachments)) return attachments;
    const thinking = thinkingLevel(params.thinking);
    const request: TurnRequest = {
      runId: params.idempotencyKey,
      sessionKey,
      message: params.message,
      ...(attachments.length > 0 && { attachments }),
      origin: originOf(call, 'agent'),
      ...(thinking !== undefined && { thinking }),
      ...(params.timeout !== undefined && params.timeout > 0 && { timeoutMs: params.timeout * 1000 }),
      ...(params.extraSystemPrompt !== undefined && { extraSystemPrompt: params.extraSystemPrompt }),
    };
    const outcome = await agent.send(request, call.holdEvents);
    if (outcome.status === 'refused') return refusal(outcome.error);
    const { runId } = outcome;
    const accepted = { runId, status: 'accepted', acceptedAt: agent.run(runId)?.acceptedAt ?? 0 };
    call.more(call.protocol === 3 ? accepted : { ...accepted, sessionKey, agentId: agentOfSessionKey(sessionKey) });
    return { runId };
  }

  async function answerOf({ runId }: { readonly runId: string }, call: Call): Promise<unknown> {
    const run = await waiting.during(call.principal.id, () => agent.wait(runId, MAX_WAIT_MS));
    if (isRefusal(run)) return run;
    return run === undefined ? refuse('AGENT_TIMEOUT', `run ${runId} has not ended`, { retryable: true }) : agentResult(run);
  }
}

/** What `chat.send` understands beside text. */
const CHAT_COMMANDS = [{ name: 'stop', description: 'Stop the running answer.', acceptsArgs: false }];

/** The longest a run may last, and so the longest an `agent` call waits for it. */
const MAX_WAIT_MS = 24 * 3_600_000;

const refusal = (error: WireError): Refusal => new Refusal(error);

const originOf = (call: Call, via: 'chat' | 'agent'): TurnRequest['origin'] => ({
  principalId: call.principal.id,
  connId: call.connId,
  clientId: call.clientId,
  clientMode: call.clientMode,
  label: call.clientLabel,
  via,
});

/** The owner may stop any run; others those that they started. */
const mayAbort = (call: Call): AbortRequest['mayAbort'] => {
  const owner = holdsScope(call.principal.scopes, 'operator.admin');
  return (run) => owner || run.principalId === call.principal.id;
};

async function abort(agent: Agent, call: Call, request: Omit<AbortRequest, 'mayAbort'>): Promise<unknown> {
  const outcome = await agent.abort({ ...request, mayAbort: mayAbort(call) });
  if (!outcome.ok) return refusal(outcome.error);
  return { ok: true, aborted: outcome.runIds.length > 0, runIds: outcome.runIds };
}

function attachmentsOf(sent: ParamsOf<typeof wire.chatSend>['attachments']): readonly Attachment[] | Refusal {
  const out: Attachment[] = [];
  for (const [index, item] of (sent ?? []).entries()) {
    const at = `attachments[${index}]`;
    // Whether it is base64 is seen when it is taken in, in slices.
    const data = item.content.replace(/^data:[^,]{0,256},/, '');
    if ((data.length * 3) / 4 > ATTACHMENT_BYTES) return refuse('INVALID_REQUEST', `${at} is larger than ${ATTACHMENT_BYTES} bytes`);
    const mimeType = item.mimeType ?? 'application/octet-stream';
    out.push({ mimeType, content: data, ...(item.fileName !== undefined && { fileName: item.fileName }) });
  }
  return out;
}

function summaryOf(run: RunView): string {
  if (run.status === 'aborted') return 'aborted';
  return run.error === undefined ? run.status : runErrorText(run.error);
}

function agentResult(run: RunView): unknown {
  const { runId } = run;
  if (run.status === 'error' || run.status === 'interrupted') {
    const summary = summaryOf(run);
    return refuse(
      'UNAVAILABLE',
      summary,
      { retryable: false, details: { runId, kind: run.error?.kind ?? run.status } },
      { runId, status: 'error', summary },
    );
  }
  const durationMs = run.startedAt !== undefined && run.endedAt !== undefined ? run.endedAt - run.startedAt : 0;
  return {
    runId,
    status: 'ok',
    summary: run.status === 'aborted' ? 'aborted' : 'completed',
    result: {
      payloads: run.text === '' ? [] : [{ text: run.text, mediaUrl: null }],
      meta: {
        durationMs,
        agentMeta: { sessionId: run.sessionId, provider: run.provider, model: run.model, usage: run.usage },
        aborted: run.status === 'aborted',
        ...(run.stopReason !== undefined && { stopReason: run.stopReason }),
      },
    },
  };
}
