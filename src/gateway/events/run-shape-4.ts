import type { RunEvent } from '../../agent/api.ts';
import { unreachable } from '../../lib/errors.ts';
import type { JsonObject } from '../../lib/json.ts';
import { AnswerText, ThinkingText } from './answer-text.ts';
import { errorObservation, runErrorText } from './run-error-text.ts';
import type { RunShape, ShapedEvent } from './shaped-event.ts';
import { isCommandTool } from './tool-item.ts';

/** Least time between two chat deltas of a run, ms. */
export const CHAT_PACE_4 = 75;

type EndEvent = Extract<RunEvent, { type: 'end' }>;
type Ended<O extends EndEvent['outcome']> = Extract<EndEvent, { outcome: O }>;

/**
 * A run in the frames of protocol 4: beside those of 3 the phases in pairs, the model, reasoning, usage, `item` frames for all, and an
 * end in three steps. Order and keys as recorded from clients of that line; `deltaText` is what the previous chat delta did not have yet.
 */
export class RunShape4 implements RunShape {
  readonly #answer = new AnswerText(CHAT_PACE_4);
  readonly #thinking = new ThinkingText(CHAT_PACE_4);
  #seq = 0;
  #model: { provider: string; model: string } | undefined;

  feed(event: RunEvent, isBehind = false): readonly ShapedEvent[] {
    if (event.type === 'thinking') return this.#reasoning(event, this.#thinking.add(event, isBehind));
    // Reasoning that was held back comes before what came after it.
    if (event.type === 'replace') this.#thinking.reset();
    const rest = event.type === 'text' ? this.#thinking.mayRest(event.ts, isBehind) : this.#thinking.rest(event.ts);
    return rest === undefined ? this.#shape(event, isBehind) : [...this.#reasoning(event, rest), ...this.#shape(event, isBehind)];
  }

  #shape(event: Exclude<RunEvent, { type: 'thinking' }>, isBehind: boolean): readonly ShapedEvent[] {
    switch (event.type) {
      case 'phase': {
        // The pair shares one number, and the chat half goes first.
        const agent = this.#agent(event, 'run_status', { phase: event.phase });
        return [this.#chat(event, { state: 'status', phase: event.phase }), agent];
      }
      case 'start':
        return [this.#lifecycle(event, { phase: 'start', startedAt: event.startedAt })];
      case 'model':
        this.#model = { provider: event.provider, model: event.model };
        return [this.#lifecycle(event, { phase: 'model', provider: event.provider, model: event.model })];
      case 'text': {
        const { agent, chat } = this.#answer.add(event, isBehind);
        return [
          ...(agent ? [this.#assistant(event, { text: agent.text, delta: agent.delta, itemId: agent.itemId })] : []),
          ...(chat === undefined ? [] : [this.#delta(event, { deltaText: chat })]),
        ];
      }
      case 'replace':
        this.#answer.reset(event.ts);
        return [
          this.#assistant(event, { itemId: event.itemId, text: '', delta: '', replace: true }),
          this.#delta(event, { deltaText: '', replace: true }),
        ];
      case 'retrying':
        return [
          this.#agent(event, 'run_status', {
            phase: 'retrying',
            message: event.message,
            retryAttempt: event.attempt,
            maxRetries: event.maxRetries,
            delayMs: event.delayMs,
            attempt: event.attempt + 1,
            maxAttempts: event.maxRetries + 1,
            reason: event.reason,
          }),
        ];
      case 'tool-start':
        return this.#toolStart(event);
      case 'tool-end':
        return this.#toolEnd(event);
      case 'usage':
        return [this.#agent(event, 'usage', { outputTokens: event.outputTokens })];
      case 'end':
        return this.#end(event);
      default:
        return unreachable(event);
    }
  }

  #toolStart(event: Extract<RunEvent, { type: 'tool-start' }>): readonly ShapedEvent[] {
    const { name, toolCallId, args, title } = event;
    return [
      ...(this.#answer.mayCatchUp() ? [...this.#owed(event), ...this.#heldBack(event)] : []),
      this.#agent(event, 'item', {
        itemId: `tool:${toolCallId}`,
        toolCallId,
        name,
        kind: 'tool',
        phase: 'start',
        title,
        status: 'running',
        commandBearing: isCommandTool(name),
        startedAt: event.ts,
      }),
      { ...this.#agent(event, 'tool', { phase: 'start', name, toolCallId, args }), audience: 'tool-origin' },
    ];
  }

  #toolEnd(event: Extract<RunEvent, { type: 'tool-end' }>): readonly ShapedEvent[] {
    const { name, toolCallId, isError, meta, title, text, startedAt } = event;
    const commandBearing = isCommandTool(name);
    // The sender's result first, then the line that everybody sees.
    const result = { content: [{ type: 'text', text }], details: {} };
    return [
      {
        ...this.#agent(event, 'tool', { phase: 'result', name, toolCallId, meta, isError, commandBearing, result }),
        audience: 'tool-origin',
      },
      this.#agent(event, 'item', {
        itemId: `tool:${toolCallId}`,
        toolCallId,
        name,
        kind: 'tool',
        phase: 'end',
        title,
        status: isError ? 'failed' : 'completed',
        meta,
        commandBearing,
        startedAt,
        endedAt: event.ts,
      }),
    ];
  }

  #end(event: EndEvent): readonly ShapedEvent[] {
    const owed = this.#owed(event);
    switch (event.outcome) {
      case 'ok':
        return [...owed, ...this.#endOk(event)];
      case 'aborted':
        return this.#endAborted(event);
      case 'error':
      case 'interrupted':
        return [...owed, ...this.#endError(event)];
      default:
        return unreachable(event);
    }
  }

  #endOk(event: Ended<'ok'>): readonly ShapedEvent[] {
    const { stopReason, endedAt, startedAt, text, provider, model } = event;
    const disposition = text === '' ? 'silent' : 'visible';
    const settled = { stopReason, aborted: false, livenessState: 'working' };
    return [
      this.#lifecycle(event, { phase: 'finishing', ...settled, endedAt }),
      this.#modelDone(event),
      this.#lifecycle(event, {
        ...settled,
        phase: 'end',
        endedAt,
        startedAt,
        replayInvalid: false,
        terminalReply: { disposition, text },
        terminalReceipt: {
          runId: event.runId,
          sessionId: event.sessionId,
          turnId: event.runId,
          requested: { provider, model },
          effective: { provider, model, responseModel: model },
          successfulToolNames: event.toolNames,
          rerouted: false,
          terminalDisposition: disposition,
        },
        executionSettled: true,
      }),
      ...this.#heldBack(event),
      this.#chat(event, { state: 'final', stopReason, message: message(event, text) }),
    ];
  }

  #endAborted(event: Ended<'aborted'>): readonly ShapedEvent[] {
    const { stopReason, endedAt, startedAt, text } = event;
    const lifecycle = this.#lifecycle(event, {
      phase: 'end',
      status: 'cancelled',
      aborted: true,
      stopReason,
      ...(startedAt === undefined ? {} : { startedAt }),
      endedAt,
    });
    return [this.#chat(event, { state: 'aborted', stopReason, ...(text === '' ? {} : { message: message(event, text) }) }), lifecycle];
  }

  #endError(event: Ended<'error' | 'interrupted'>): readonly ShapedEvent[] {
    const { endedAt, startedAt, text } = event;
    const error = runErrorText(event.error);
    const observed = errorObservation(event.error, this.#model);
    const blocked = { aborted: false, livenessState: 'blocked' };
    return [
      this.#lifecycle(event, { phase: 'finishing', error, errorObservation: observed, ...blocked, endedAt }),
      this.#modelDone(event),
      this.#lifecycle(event, {
        ...blocked,
        errorObservation: observed,
        phase: 'error',
        endedAt,
        ...(startedAt === undefined ? {} : { startedAt }),
        error,
        executionSettled: true,
      }),
      ...this.#heldBack(event),
      this.#chat(event, {
        state: 'error',
        errorMessage: error,
        errorDetail: observed,
        ...(text === '' ? {} : { message: message(event, text) }),
      }),
    ];
  }

  #reasoning(event: RunEvent, told: { readonly text: string; readonly delta: string } | undefined): readonly ShapedEvent[] {
    if (told === undefined) return [];
    const { text, delta } = told;
    const shaped = this.#agent(event, 'thinking', { text, delta });
    return [{ ...shaped, audience: 'tool-origin', droppable: true, coalesce: `${event.runId}/thinking` }];
  }

  #owed(event: RunEvent): readonly ShapedEvent[] {
    const rest = this.#answer.agentRest(event.ts);
    return rest ? [this.#assistant(event, { text: rest.text, delta: rest.delta, itemId: rest.itemId })] : [];
  }

  #heldBack(event: RunEvent): readonly ShapedEvent[] {
    const rest = this.#answer.chatRest(event.ts);
    return rest === undefined ? [] : [this.#delta(event, { deltaText: rest })];
  }

  #assistant(event: RunEvent, data: JsonObject): ShapedEvent {
    // One key per item: the deltas of two items are not parts of one text.
    return { ...this.#agent(event, 'assistant', data), droppable: true, coalesce: `${event.runId}/assistant/${String(data['itemId'])}` };
  }

  #delta(event: RunEvent, body: JsonObject): ShapedEvent {
    const shaped = this.#chat(event, { state: 'delta', ...body, message: message(event, this.#answer.text) });
    return { ...shaped, droppable: true, coalesce: `${event.runId}/chat` };
  }

  #lifecycle(event: RunEvent, data: JsonObject): ShapedEvent {
    return this.#agent(event, 'lifecycle', data, { sessionId: event.sessionId });
  }

  #modelDone(event: RunEvent): ShapedEvent {
    return this.#agent(event, 'lifecycle', { phase: 'model', provider: null, model: null }, { sessionId: event.sessionId, lane: 'main' });
  }

  #agent(event: RunEvent, stream: string, data: JsonObject, more: JsonObject = {}): ShapedEvent {
    const { runId, sessionKey, agentId, ts } = event;
    const payload = { runId, stream, data, sessionKey, ...more, agentId, seq: ++this.#seq, ts, isHeartbeat: false };
    return { event: 'agent', payload, audience: 'operators', droppable: false };
  }

  #chat(event: RunEvent, body: JsonObject): ShapedEvent {
    const { runId, sessionKey, agentId } = event;
    return { event: 'chat', payload: { runId, sessionKey, agentId, seq: this.#seq, ...body }, audience: 'operators', droppable: false };
  }
}

const message = (event: RunEvent, text: string): JsonObject => ({
  role: 'assistant',
  content: [{ type: 'text', text }],
  timestamp: event.ts,
});
