import type { RunEvent, TurnOrigin } from '../../../agent/api.ts';
import type { Principal } from '../../../auth/admit.ts';
import type { Exchange } from '../exchange.ts';
import { INTERNAL, wireFault } from '../fault.ts';
import type { HttpPorts } from '../ports.ts';
import type { RouteHandler } from '../route-handler.ts';
import { AnswerStream } from './answer-stream.ts';
import { type ChatRequest, chatRequest } from './chat-request.ts';
import { type CompletionHead, completion } from './completion-shape.ts';
import { runFault } from './run-fault.ts';
import { RunWatch } from './run-watch.ts';

/**
 * `POST /v1/chat/completions`. A turn of a session like any other: it can be watched, stopped and read afterwards. A caller who goes away leaves the
 * run of a named session alone; a session that was made for this one call is nobody's any more, and its run is stopped.
 */
export function chatCompletions(ports: HttpPorts): RouteHandler {
  const watch = new RunWatch(ports.agent);
  const newId = (): string => process.getBuiltinModule('node:crypto').randomUUID();

  return {
    enabled: ({ chatCompletions }) => chatCompletions.enabled,
    maxBytes: ({ chatCompletions }) => chatCompletions.maxBodyBytes,
    async handle(exchange) {
      const body = await exchange.json();
      if (!body.ok) return exchange.fail(body.error);
      const limits = ports.config().chatCompletions;
      const parsed = chatRequest(body.value, { agent: ports.agent, limits, newId, header: (name) => exchange.header(name) });
      if (!parsed.ok) return exchange.fail(parsed.error);
      const request = parsed.value;
      const runId = `chatcmpl_${newId()}`;
      const head: CompletionHead = { id: runId, created: Math.floor(ports.clock.now() / 1000), model: request.model };
      await answer(exchange, request, head);
    },
  };

  async function answer(exchange: Exchange, request: ChatRequest, head: CompletionHead): Promise<void> {
    const runId = head.id;
    // What outlives the sending holds these, and not what was asked.
    const { isOneOff, stream: isStream, includeUsage } = request;
    const { sessionKey } = request.turn;
    // What happens before the caller can be told waits; it is little: a run's first events.
    const early: RunEvent[] = [];
    let feed = (event: RunEvent): void => void early.push(event);
    let hasEnded = false;
    const stopWatching = watch.watch(runId, (event) => {
      if (event.type === 'end') {
        hasEnded = true;
        stopWatching();
      }
      feed(event);
    });
    exchange.onClose((finished) => {
      stopWatching();
      if (!finished && !hasEnded && isOneOff) stopRun(sessionKey, runId);
    });

    const outcome = await ports.agent.send({ ...request.turn, runId, origin: originOf(exchange.principal) });
    exchange.taken();
    if (outcome.status === 'refused') return exchange.fail(wireFault(outcome.error));
    if (!exchange.isOpen) {
      if (isOneOff && !hasEnded) stopRun(sessionKey, runId);
      return;
    }
    const flush = (): void => {
      for (const event of early.splice(0)) feed(event);
    };
    if (isStream) {
      const stream = new AnswerStream(exchange.stream(), head, includeUsage);
      feed = (event) => {
        stream.feed(event);
        if (!stream.isOver || hasEnded) return;
        // The stream had to end before its run did.
        stopWatching();
        if (isOneOff) stopRun(sessionKey, runId);
      };
    } else feed = (event) => whole(exchange, head, event);
    flush();
  }

  function whole(exchange: Exchange, head: CompletionHead, event: RunEvent): void {
    if (event.type !== 'end') return;
    const fault = runFault(event);
    if (fault || event.outcome !== 'ok') exchange.fail(fault ?? INTERNAL);
    else exchange.sendJson(200, completion(head, event.text, event.stopReason, event.usage));
  }

  function stopRun(sessionKey: string, runId: string): void {
    ports.agent.abort({ sessionKey, runId, reason: 'disconnect', mayAbort: (run) => run.runId === runId }).catch((thrown: unknown) => {
      ports.log.warn('a run whose caller went away could not be stopped', { runId, cause: thrown });
    });
  }
}

function originOf(principal: Principal | undefined): TurnOrigin {
  return {
    principalId: principal?.id ?? 'none',
    clientId: 'openai-api',
    clientMode: 'http',
    label: principal?.label ?? 'HTTP API',
    via: 'http',
  };
}
