import type { RunEvent } from '../../agent/api.ts';
import { unreachable } from '../../lib/errors.ts';
import type { JsonObject } from '../../lib/json.ts';
import { AnswerText } from './answer-text.ts';
import { runErrorText } from './run-error-text.ts';
import type { RunShape, ShapedEvent } from './shaped-event.ts';

/** Least time between two chat deltas of a run, ms. */
export const CHAT_PACE_3 = 150;

export interface RunShape3Options {
  /** Tool results travel only where the session's verbosity is `full`. */
  readonly toolResults?: boolean;
}

type EndEvent = Extract<RunEvent, { type: 'end' }>;

/**
 * A run in the frames of protocol 3: lifecycle, assistant, tool; chat delta, final, aborted, error. No phases, no reasoning, no usage.
 * Order and keys as recorded from clients of that line. The run's `seq` counts agent frames from 1; a chat frame carries the count of its moment.
 */
export class RunShape3 implements RunShape {
  readonly #toolResults: boolean;
  readonly #answer = new AnswerText(CHAT_PACE_3);
  #seq = 0;

  constructor(options: RunShape3Options = {}) {
    this.#toolResults = options.toolResults ?? false;
  }

  feed(event: RunEvent, isBehind = false): readonly ShapedEvent[] {
    switch (event.type) {
      case 'phase':
      case 'model':
      case 'thinking':
      case 'retrying':
      case 'usage':
        return [];
      case 'start':
        return [this.#agent(event, 'lifecycle', { phase: 'start', startedAt: event.startedAt })];
      case 'text': {
        const { agent, chat } = this.#answer.add(event, isBehind);
        return [
          ...(agent ? [this.#assistant(event, agent.text, agent.delta)] : []),
          ...(chat === undefined ? [] : [this.#delta(event, this.#answer.text)]),
        ];
      }
      case 'replace':
        // Clients of this line know no `replace`; a cumulative text that is empty again says the same.
        this.#answer.reset(event.ts);
        return [this.#assistant(event, '', ''), this.#delta(event, '')];
      case 'tool-start':
        return [
          ...(this.#answer.mayCatchUp() ? [...this.#owed(event), ...this.#heldBack(event)] : []),
          this.#tool(event, { phase: 'start', name: event.name, toolCallId: event.toolCallId, args: event.args }),
        ];
      case 'tool-end':
        return [
          this.#tool(event, {
            phase: 'result',
            name: event.name,
            toolCallId: event.toolCallId,
            meta: event.meta,
            isError: event.isError,
            ...(this.#toolResults ? { result: { content: [{ type: 'text', text: event.text }], details: {} } } : {}),
          }),
        ];
      case 'end':
        return this.#end(event);
      default:
        return unreachable(event);
    }
  }

  #end(event: EndEvent): readonly ShapedEvent[] {
    switch (event.outcome) {
      case 'ok':
        return [
          ...this.#owed(event),
          this.#agent(event, 'lifecycle', { phase: 'end', endedAt: event.endedAt }),
          ...this.#heldBack(event),
          this.#chat(event, { state: 'final', message: message(event, event.text) }),
        ];
      case 'aborted':
        // No lifecycle frame: the chat frame takes the number that the next agent frame would have had.
        this.#seq++;
        return [
          this.#chat(event, {
            state: 'aborted',
            stopReason: event.stopReason,
            ...(event.text === '' ? {} : { message: message(event, event.text) }),
          }),
        ];
      case 'error':
      case 'interrupted': {
        const error = runErrorText(event.error);
        return [
          ...this.#owed(event),
          this.#agent(event, 'lifecycle', { phase: 'error', error, endedAt: event.endedAt }),
          ...this.#heldBack(event),
          this.#chat(event, {
            state: 'error',
            errorMessage: error,
            ...(event.text === '' ? {} : { message: message(event, event.text) }),
          }),
        ];
      }
      default:
        return unreachable(event);
    }
  }

  /** Long texts: pieces that were joined and not sent yet. */
  #owed(event: RunEvent): readonly ShapedEvent[] {
    const rest = this.#answer.agentRest(event.ts);
    return rest ? [this.#assistant(event, rest.text, rest.delta)] : [];
  }

  #heldBack(event: RunEvent): readonly ShapedEvent[] {
    return this.#answer.chatRest(event.ts) === undefined ? [] : [this.#delta(event, this.#answer.text)];
  }

  #assistant(event: RunEvent, text: string, delta: string): ShapedEvent {
    return { ...this.#agent(event, 'assistant', { text, delta }), droppable: true, coalesce: `${event.runId}/assistant` };
  }

  #delta(event: RunEvent, text: string): ShapedEvent {
    const shaped = this.#chat(event, { state: 'delta', message: message(event, text) });
    return { ...shaped, droppable: true, coalesce: `${event.runId}/chat` };
  }

  #tool(event: RunEvent, data: JsonObject): ShapedEvent {
    return { ...this.#agent(event, 'tool', data), audience: 'tool-origin' };
  }

  #agent(event: RunEvent, stream: string, data: JsonObject): ShapedEvent {
    const payload = { runId: event.runId, stream, data, sessionKey: event.sessionKey, seq: ++this.#seq, ts: event.ts };
    return { event: 'agent', payload, audience: 'operators', droppable: false };
  }

  #chat(event: RunEvent, body: JsonObject): ShapedEvent {
    const payload = { runId: event.runId, sessionKey: event.sessionKey, seq: this.#seq, ...body };
    return { event: 'chat', payload, audience: 'operators', droppable: false };
  }
}

const message = (event: RunEvent, text: string): JsonObject => ({
  role: 'assistant',
  content: [{ type: 'text', text }],
  timestamp: event.ts,
});
