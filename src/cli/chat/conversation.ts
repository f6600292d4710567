import { type Fault, faultText } from '../../client/fault.ts';
import { isRecord } from '../../lib/json.ts';
import { messageOf, runFailure } from '../commands/agent.ts';
import { printable } from '../format/text.ts';
import type { Gateway } from '../gateway.ts';
import { number, record, records, text } from '../read-json.ts';

/** What a conversation shows. All texts are safe to print. */
export interface View {
  /** `more` follows what was shown of this answer before. */
  answer(more: string): void;
  /** The answer is complete. */
  answerEnd(): void;
  /** What was shown of the answer is void: the provider failed and is asked again. */
  answerRestart(): void;
  /** A message of somebody: of this conversation's past, or written elsewhere. */
  message(role: 'user' | 'assistant', text: string): void;
  tool(name: string): void;
  /** Whether an answer is awaited of which nothing has come yet. */
  busy(isBusy: boolean): void;
  notice(text: string): void;
  problem(message: string, fix?: string): void;
}

/** How a message that was sent ended. */
export type Ending = { readonly state: 'final' | 'aborted'; readonly text: string } | { readonly state: 'error'; readonly message: string };

interface Outgoing {
  readonly runId: string;
  readonly message: string;
  readonly done: (ending: Ending) => void;
  acknowledged: boolean;
}

/**
 * One conversation over a connection that may break. What is said while offline waits in order and goes out once: its key is the run's id,
 * so that a repeat is the same run. After a reconnect exactly what was missed is shown, from the history.
 */
export class Conversation {
  readonly #gateway: Gateway;
  readonly #view: View;
  readonly #newId: () => string;
  readonly #thinking: string | undefined;
  readonly #timeoutMs: number | undefined;
  readonly #outbox = new Map<string, Outgoing>();
  readonly #ended = new Set<string>();
  /** Text shown so far, of the run that is being shown. */
  #showing: { runId: string; text: string } | undefined;
  #key: string;
  #lastSeq = 0;

  constructor(
    gateway: Gateway,
    view: View,
    options: { sessionKey: string; newId: () => string; thinking?: string | undefined; timeoutMs?: number | undefined },
  ) {
    this.#gateway = gateway;
    this.#view = view;
    this.#key = options.sessionKey;
    this.#newId = options.newId;
    this.#thinking = options.thinking;
    this.#timeoutMs = options.timeoutMs;
  }

  get sessionKey(): string {
    return this.#key;
  }
  /** The run that an abort would stop: the one that is being shown, else the oldest that waits. */
  get activeRun(): string | undefined {
    return this.#showing?.runId ?? this.#outbox.keys().next().value;
  }

  /** Finds the canonical key, listens, shows the last `limit` messages. */
  async start(limit: number): Promise<void> {
    const { client } = this.#gateway;
    this.#key = await this.#canonical(this.#key);
    client.on('chat', (payload) => this.#chatEvent(payload));
    client.on('agent', (payload) => this.#agentEvent(payload));
    await this.#showHistory(limit);
  }

  /** Resolves when the answer is complete. Never rejects. */
  send(message: string): Promise<Ending> {
    return new Promise((done) => {
      const runId = this.#newId();
      this.#outbox.set(runId, { runId, message, done, acknowledged: false });
      void this.#deliver(runId);
    });
  }

  async abort(): Promise<boolean> {
    const runId = this.activeRun;
    if (runId === undefined) return false;
    const answer = await this.#gateway.client.request('chat.abort', { sessionKey: this.#key, runId }, { timeoutMs: 5_000 });
    return answer.ok && answer.value.aborted;
  }

  /** A new conversation under the same key, which is for those who may manage: `call` asks as one of them. */
  async reset(call: Gateway['call']): Promise<void> {
    await call('sessions.reset', { key: this.#key, reason: 'new' });
    this.#lastSeq = 0;
  }

  /** After a reconnect: sends what waits, shows what was missed. The number of messages caught up. */
  async resume(): Promise<number> {
    const missed = await this.#catchUp();
    for (const runId of [...this.#outbox.keys()]) if (this.#outbox.get(runId)?.acknowledged === false) await this.#deliver(runId);
    return missed;
  }

  async #deliver(runId: string): Promise<void> {
    const outgoing = this.#outbox.get(runId);
    if (outgoing === undefined) return;
    const answer = await this.#gateway.client.request('chat.send', {
      sessionKey: this.#key,
      message: outgoing.message,
      idempotencyKey: runId,
      deliver: false,
      ...(this.#thinking === undefined ? {} : { thinking: this.#thinking }),
      ...(this.#timeoutMs === undefined ? {} : { timeoutMs: this.#timeoutMs }),
    });
    if (answer.ok) {
      outgoing.acknowledged = true;
      this.#tellBusy();
      // A stop phrase is answered at once and starts no run.
      if (answer.value['aborted'] !== undefined) this.#end(runId, { state: 'aborted', text: '' });
      // The run had ended before this repeat: its answer is in the history.
      else if (answer.value['status'] === 'ok' || answer.value['status'] === 'error') await this.#catchUp();
      return;
    }
    if (isLost(answer.error)) return;
    const fix = answer.error.kind === 'refused' ? text(record(answer.error.error.details)['fix']) : undefined;
    const message = printable(faultText(answer.error));
    this.#view.problem(message, fix === undefined ? undefined : printable(fix));
    this.#end(runId, { state: 'error', message });
  }

  #chatEvent(payload: unknown): void {
    if (!isRecord(payload) || payload['sessionKey'] !== this.#key) return;
    const runId = text(payload['runId']) ?? '';
    if (this.#ended.has(runId)) return;
    const whole = messageOf(payload['message']);
    switch (payload['state']) {
      case 'delta':
        if (payload['replace'] === true && this.#showing?.runId === runId) {
          if (this.#showing.text !== '') this.#view.answerRestart();
          this.#showing = undefined;
        }
        if (whole !== undefined) this.#show(runId, printable(whole));
        break;
      case 'final': {
        if (whole !== undefined) this.#show(runId, printable(whole), true);
        // Without a message: a run that took this one's place answers.
        this.#end(runId, { state: 'final', text: whole ?? '' });
        break;
      }
      case 'aborted':
        if (whole !== undefined && whole !== '') this.#show(runId, printable(whole), true);
        this.#end(runId, { state: 'aborted', text: whole ?? '' });
        break;
      case 'error': {
        const told = runFailure(printable(text(payload['errorMessage']) ?? 'the run failed'));
        const { message } = told;
        const fix = text(record(payload['errorDetail'])['fix']) ?? told.fix;
        this.#finishShowing(runId);
        this.#view.problem(message, fix === undefined ? undefined : printable(fix));
        this.#end(runId, { state: 'error', message });
        break;
      }
      default:
        break;
    }
  }

  #agentEvent(payload: unknown): void {
    if (!isRecord(payload) || payload['sessionKey'] !== this.#key || payload['stream'] !== 'tool') return;
    const data = record(payload['data']);
    if (data['phase'] === 'start') this.#view.tool(printable(text(data['name']) ?? 'tool'));
  }

  /** Shows the part of `whole` that is not shown yet. One answer at a time: another run's is shown when it is complete. */
  #show(runId: string, whole: string, complete = false): void {
    if (this.#showing !== undefined && this.#showing.runId !== runId) {
      if (!complete) return;
      this.#view.message('assistant', whole);
      return;
    }
    const before = this.#showing?.text ?? '';
    if (whole.startsWith(before)) this.#view.answer(whole.slice(before.length));
    else {
      this.#view.answerRestart();
      this.#view.answer(whole);
    }
    this.#showing = { runId, text: whole };
    this.#tellBusy();
  }

  #tellBusy(): void {
    const isShown = this.#showing !== undefined && this.#showing.text !== '';
    this.#view.busy(!isShown && [...this.#outbox.values()].some(({ acknowledged }) => acknowledged));
  }

  #finishShowing(runId: string): void {
    if (this.#showing?.runId !== runId) return;
    this.#showing = undefined;
    this.#view.answerEnd();
  }

  #end(runId: string, ending: Ending): void {
    this.#finishShowing(runId);
    this.#ended.add(runId);
    if (this.#ended.size > 1000) this.#ended.delete(this.#ended.values().next().value ?? '');
    const outgoing = this.#outbox.get(runId);
    this.#outbox.delete(runId);
    this.#tellBusy();
    outgoing?.done(ending);
  }

  async #showHistory(limit: number): Promise<void> {
    if (limit === 0) {
      this.#lastSeq = newestSeq(await this.#history(1));
      return;
    }
    const messages = await this.#history(limit);
    this.#lastSeq = newestSeq(messages);
    for (const message of messages) this.#showPast(message);
  }

  async #history(limit: number): Promise<Record<string, unknown>[]> {
    const answer = await this.#gateway.client.request('chat.history', { sessionKey: this.#key, limit });
    return answer.ok ? records(answer.value['messages']) : [];
  }

  async #catchUp(): Promise<number> {
    const messages = await this.#history(200);
    const missed = messages.filter((message) => (seqOf(message) ?? 0) > this.#lastSeq);
    let shown = 0;
    for (const message of missed) {
      const runId = runOf(message);
      const role = message['role'];
      // What this terminal wrote itself, or has shown to its end already, was not missed.
      if (runId !== undefined && (this.#ended.has(runId) || (role === 'user' && this.#outbox.has(runId)))) {
        if (role === 'user' && runId !== undefined) this.#acknowledge(runId);
        continue;
      }
      shown++;
      if (role === 'assistant' && runId !== undefined && (this.#outbox.has(runId) || this.#showing?.runId === runId)) {
        if (message['stopReason'] === 'toolUse') continue;
        const { whole, problem } = outcomeOf(message);
        if (whole !== '') this.#show(runId, whole, true);
        this.#finishShowing(runId);
        if (problem !== undefined) this.#view.problem(problem);
        this.#end(runId, problem === undefined ? { state: 'final', text: whole } : { state: 'error', message: problem });
      } else this.#showPast(message);
    }
    this.#lastSeq = Math.max(this.#lastSeq, newestSeq(messages));
    return shown;
  }

  #acknowledge(runId: string): void {
    const outgoing = this.#outbox.get(runId);
    if (outgoing !== undefined) outgoing.acknowledged = true;
  }

  #showPast(message: Record<string, unknown>): void {
    const role = message['role'];
    if (role !== 'user' && role !== 'assistant') return;
    const { whole, problem } = role === 'user' ? { whole: printable(messageOf(message) ?? '') } : outcomeOf(message);
    const shown = whole.trim();
    if (shown !== '') this.#view.message(role, shown);
    if (problem !== undefined) this.#view.problem(problem);
  }

  /** `main` → `agent:main:main`: events carry the whole key. */
  async #canonical(key: string): Promise<string> {
    if (key.startsWith('agent:')) return key;
    const answer = await this.#gateway.client.request('agents.list', {});
    const agents = answer.ok ? answer.value : {};
    const agent = text(agents['defaultId']) ?? 'main';
    return `agent:${agent}:${key === 'main' || key === '' ? (text(agents['mainKey']) ?? 'main') : key}`;
  }
}

/** The connection was lost, not the argument: it is tried again when the connection is back. */
const isLost = (fault: Fault): boolean => fault.kind === 'closed' || fault.kind === 'offline' || fault.kind === 'timeout';

const seqOf = (message: Record<string, unknown>): number | undefined => number(record(message['__openclaw'])['seq']);
const newestSeq = (messages: readonly Record<string, unknown>[]): number => Math.max(0, ...messages.map((message) => seqOf(message) ?? 0));

/** How a run ended, from its last message in the history: a failure says so in `errorMessage`, or (protocol 4) in its last text part. */
function outcomeOf(message: Record<string, unknown>): { whole: string; problem?: string } {
  const whole = printable(messageOf(message) ?? '');
  const said = text(message['errorMessage']);
  if (said !== undefined) return { whole, problem: printable(said) };
  if (message['stopReason'] !== 'error') return { whole };
  const parts = records(message['content']).flatMap((part) => text(part['text']) ?? []);
  return { whole: printable(parts.slice(0, -1).join('')), problem: printable(parts.at(-1) ?? 'the run failed') };
}

/** The run that a message belongs to: said outright, or the head of `<runId>:user`. */
function runOf(message: Record<string, unknown>): string | undefined {
  return text(record(message['__openclaw'])['runId']) ?? text(message['idempotencyKey'])?.replace(/:[^:]*$/, '');
}
