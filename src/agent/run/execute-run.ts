import type { Clock } from '../../lib/clock.ts';
import { messageOf, UserError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import type { Log } from '../../lib/log.ts';
import type { AssistantPart, RunError, TranscriptMessage, Usage } from '../api.ts';
import { crypto } from '../builtins.ts';
import type { AgentConfig, AgentEntry, AgentStore, LoadedRequest, NewEntry, RunWritten } from '../ports.ts';
import { buildPrompt } from '../prompt/build-prompt.ts';
import { createFence } from '../prompt/fence.ts';
import { clipTokens } from '../prompt/tokens.ts';
import { readWorkspaceFiles } from '../prompt/workspace-files.ts';
import type { Candidates, Catalog } from '../providers/catalog.ts';
import {
  addUsage,
  type ConnectedModel,
  type ModelCall,
  NO_USAGE,
  type PromptMessage,
  type ProviderFailure,
} from '../providers/model-stream.ts';
import { head } from '../text.ts';
import { openWorkspace, type Workspace } from '../tools/confine.ts';
import { prepareCall, toolset } from '../tools/toolset.ts';
import type { ActiveRun, Emit } from './active-run.ts';
import { createJournal } from './journal.ts';
import type { ModelMemory } from './model-memory.ts';
import { INTERRUPTED } from './recovery.ts';
import { afterFailure, MAX_RETRIES } from './retry.ts';

export interface ExecuteDeps {
  readonly store: AgentStore;
  readonly config: () => AgentConfig;
  readonly catalog: Catalog;
  /** Answers when no model is connected, and only then. */
  readonly guide: () => Promise<ConnectedModel>;
  readonly memory: ModelMemory;
  readonly clock: Clock;
  readonly log: Log;
  readonly emit: Emit;
  /** Durable entries of a run that goes on. */
  readonly onWritten: (written: RunWritten) => void;
}

/** How a run came to its end; what is in `entries` is not written yet. */
export interface Outcome {
  readonly status: 'ok' | 'error' | 'aborted' | 'interrupted';
  readonly stopReason: string;
  readonly error?: RunError;
  readonly usage: Usage;
  /** Prompt tokens of the last model call that told them. */
  readonly contextUsed: number | undefined;
  readonly entries: readonly NewEntry[];
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly toolNames: readonly string[];
}

/** Prompts that are made anew in one run after the server said what it can hold or do. */
const MAX_LESSONS = 3;
/** UTF-16 units of reasoning that a transcript keeps of one step. */
const MAX_THINKING = 100_000;
/** UTF-16 units of one run's visible answer, over all its steps. */
const MAX_RUN_CHARS = 500_000;
/** UTF-16 units that a run's steps may hold together: what was said, what tools were given and what they gave. After it the answer is due. */
const MAX_HELD_CHARS = 2_000_000;

/** Runs one turn to its end. Never rejects. */
export async function executeRun(run: ActiveRun, request: LoadedRequest, agent: AgentEntry, deps: ExecuteDeps): Promise<Outcome> {
  const turn = new Turn(run, request, agent, deps);
  try {
    return await turn.run();
  } catch (thrown) {
    if (run.stop !== undefined) return turn.stopped();
    deps.log.error('a run failed unexpectedly', { runId: run.runId, error: messageOf(thrown) });
    return turn.failed({ kind: 'internal', message: `The run failed inside the gateway: ${messageOf(thrown)}`, fix: 'See openclaw logs' });
  } finally {
    await turn.close();
  }
}

type StepEnd =
  | { readonly kind: 'finished'; readonly reason: string; readonly calls: readonly { id: string; name: string; input: string }[] }
  | { readonly kind: 'failed'; readonly failure: ProviderFailure }
  | { readonly kind: 'stopped' };

class Turn {
  private readonly active: ActiveRun;
  private readonly request: LoadedRequest;
  private readonly agent: AgentEntry;
  private readonly deps: ExecuteDeps;
  private readonly fence = createFence();
  private readonly itemBase = crypto().randomUUID();
  private readonly journal;
  private readonly toolNames: string[] = [];
  private workspace: Workspace | undefined;
  private usage: Usage = NO_USAGE;
  private contextUsed: number | undefined;
  private api = 'none';
  /** Of the step that streams: what a transcript entry will be made of. */
  private stepText = '';
  private stepThinking = '';
  /** The visible text before this step. */
  private before = '';
  private step = 0;
  private toolsRan = false;
  /** How much smaller than its context a prompt is made, because the estimate was wrong for this conversation. */
  private squeeze = 1;
  private lessons = 0;
  /** Calls of the model whose results are not in the transcript yet. */
  private open: { id: string; name: string }[] = [];

  constructor(run: ActiveRun, request: LoadedRequest, agent: AgentEntry, deps: ExecuteDeps) {
    this.active = run;
    this.request = request;
    this.agent = agent;
    this.deps = deps;
    this.journal = createJournal(
      (text) => deps.store.appendJournal(run.runId, text),
      deps.clock,
      (thrown) => deps.log.warn('the journal of a run could not be written', { runId: run.runId, error: messageOf(thrown) }),
    );
  }

  async run(): Promise<Outcome> {
    const { active: run, deps, agent } = this;
    const startedAt = deps.clock.now();
    run.startedAt = startedAt;
    // What the disk calls queued is run after a crash: nothing may have happened to it. Written while the rest is prepared.
    const marked = deps.store.markRunning(run.runId, startedAt).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    deps.emit(run, { type: 'phase', phase: 'preparing_workspace' });
    const opened = await openWorkspace(agent.workspace, agent.protectedPaths);
    if (opened.ok) this.workspace = opened.value;
    else deps.log.warn(opened.error, { agentId: agent.id });
    if (this.isStopped()) return this.stopped();
    deps.emit(run, { type: 'phase', phase: 'preparing_context' });
    const candidates = await deps.catalog.candidates(agent, this.request.model ?? deps.store.session(run.sessionKey)?.model);
    const models = await this.models(candidates);
    const unmarked = await marked;
    if (unmarked !== undefined) {
      return this.failed({
        kind: 'internal',
        message: `Not begun, because the gateway cannot write it down: ${messageOf(unmarked)}`,
        ...(unmarked instanceof UserError && unmarked.fix !== undefined && { fix: unmarked.fix }),
      });
    }
    if (this.isStopped()) return this.stopped();
    if (candidates.kind === 'missing') {
      deps.emit(run, { type: 'start', startedAt });
      return this.failed({ kind: 'auth', message: `No answer: ${candidates.reason}.`, fix: candidates.fix });
    }
    deps.emit(run, { type: 'start', startedAt });
    deps.emit(run, { type: 'phase', phase: 'starting_model' });
    for (const [index, model] of models.entries()) {
      const outcome = await this.ask(model, index < models.length - 1);
      if (outcome !== 'next-model') return outcome;
    }
    throw new Error('no model answered and none failed');
  }

  async close(): Promise<void> {
    this.journal.forget();
    await this.workspace?.close().catch(() => {});
  }

  private async models(candidates: Candidates): Promise<readonly ConnectedModel[]> {
    if (candidates.kind === 'none') return [await this.deps.guide()];
    if (candidates.kind === 'missing') return [];
    const { memory } = this.deps;
    // A model that has just refused waits its turn while another can be asked.
    const ready = candidates.models.filter(({ view }) => !memory.cooling(view));
    return ready.length > 0 ? ready : candidates.models;
  }

  /** Asks one model until the turn is over, or until another one has to be asked. */
  private async ask(model: ConnectedModel, moreModels: boolean): Promise<Outcome | 'next-model'> {
    const { active: run, deps, agent } = this;
    run.provider = model.view.provider;
    run.model = model.view.id;
    this.api = model.api;
    deps.emit(run, { type: 'model', provider: model.view.provider, model: model.view.id });
    const files = this.workspace === undefined ? [] : await readWorkspaceFiles(this.workspace);
    const tools = toolset(agent.tools);
    const build = (): ReturnType<typeof buildPrompt> =>
      buildPrompt({
        agent,
        view: model.view,
        window: this.windowOf(model),
        sessionId: run.sessionId,
        request: this.request,
        files,
        tools: this.workspace !== undefined && model.tools && deps.memory.tools(model.view) ? tools.map(({ spec }) => spec) : [],
        fence: this.fence,
        store: deps.store,
        now: deps.clock.now(),
      });
    let prompt = await build();
    if (!prompt.ok) return this.failed(prompt.error);
    const own: PromptMessage[] = [];
    const maxSteps = deps.config().limits.maxSteps;

    let held = 0;
    let inputs = 0;

    for (this.step = 1; this.step <= maxSteps; this.step++) {
      if (this.step > 1) deps.emit(run, { type: 'model', provider: model.view.provider, model: model.view.id });
      let end: StepEnd | undefined;
      for (let retries = 0; end === undefined; ) {
        if (!prompt.ok) return this.failed(prompt.error);
        const last = this.step === maxSteps || held >= MAX_HELD_CHARS;
        const call: ModelCall = {
          ...prompt.value.call,
          messages: [...prompt.value.call.messages, ...own],
          // The last step has to be an answer.
          tools: last ? [] : prompt.value.call.tools,
          ...(prompt.value.call.maxOutputTokens === undefined && model.maxTokens !== undefined && { maxOutputTokens: model.maxTokens }),
        };
        const result = await this.stream(model, call);
        if (result.kind !== 'failed') {
          end = result;
          break;
        }
        const { failure } = result;
        if (this.stepText === '' && this.lessons < MAX_LESSONS && this.learn(model, failure, prompt.value.tokens)) {
          this.lessons++;
          prompt = await build();
          continue;
        }
        const next = afterFailure(failure, { retries, shown: this.stepText !== '', toolsRan: this.toolsRan, moreModels });
        if (next.kind === 'give-up') return this.failed(failure.error);
        if (next.kind === 'next-model') {
          deps.memory.cool(model.view, failure.error.kind);
          deps.log.warn('a model failed; the next one is asked', {
            model: `${model.view.provider}/${model.view.id}`,
            kind: failure.error.kind,
          });
          if (next.replace) await this.takeBack();
          return 'next-model';
        }
        retries++;
        deps.emit(run, {
          type: 'retrying',
          attempt: retries,
          maxRetries: MAX_RETRIES,
          delayMs: next.delayMs,
          message: failure.error.message,
          reason: failure.error.kind,
        });
        await this.pause(next.delayMs);
        if (this.isStopped()) return this.stopped();
        if (next.replace) await this.takeBack();
        else this.stepThinking = '';
      }
      if (end === undefined || end.kind === 'stopped' || end.kind === 'failed') return this.stopped();
      if (end.calls.length === 0) return this.finished(end.reason);
      if (!prompt.ok) return this.failed(prompt.error);
      // It was offered none, and asks for more all the same.
      if (held >= MAX_HELD_CHARS) break;
      await this.useTools(end.calls, own, prompt.value.resultTokens);
      for (const { input } of end.calls) inputs += input.length;
      held = own.reduce((sum, message) => sum + message.text.length, inputs);
      if (this.isStopped()) return this.stopped();
    }
    return this.failed({
      kind: 'provider',
      message: `${model.view.id} went on using tools after ${Math.min(this.step, maxSteps)} steps and gave no answer.`,
      fix: 'Ask for less at a time, or choose another model: openclaw models list',
      provider: model.view.provider,
      model: model.view.id,
    });
  }

  private windowOf(model: ConnectedModel): number | undefined {
    const window = this.deps.memory.window(model.view);
    return window === undefined ? undefined : Math.floor(window * this.squeeze);
  }

  /** Whether another prompt may do better after this failure. */
  private learn(model: ConnectedModel, failure: ProviderFailure, estimated: number): boolean {
    if (this.deps.memory.learn(model.view, failure)) return true;
    const { contextTokens, promptTokens } = failure;
    if (contextTokens === undefined || promptTokens === undefined || promptTokens <= contextTokens) return false;
    // The size was known and the estimate wrong: this text has more tokens than it looks.
    const factor = (estimated / promptTokens) * 0.9;
    if (!(factor > 0.1 && factor < 0.95)) return false;
    this.squeeze *= factor;
    return true;
  }

  /** One model call, shown as it comes. */
  private async stream(model: ConnectedModel, call: ModelCall): Promise<StepEnd> {
    const { active: run, deps } = this;
    const itemId = `${this.itemBase}:${this.step}`;
    const calls: { id: string; name: string; input: string }[] = [];
    const signal = run.controller.signal;
    for await (const part of model.stream(call, signal)) {
      if (signal.aborted) break;
      switch (part.type) {
        case 'text': {
          const gap = this.stepText === '' && this.before !== '' ? '\n\n' : '';
          const delta = head(part.delta, Math.max(0, MAX_RUN_CHARS - run.text.length - gap.length));
          if (delta !== '') {
            this.stepText += delta;
            run.text += gap + delta;
            this.journal.add(delta);
            deps.emit(run, { type: 'text', delta: gap + delta, text: run.text, itemId });
          }
          // What was asked for after a text without end is not done.
          if (delta.length < part.delta.length) return { kind: 'finished', reason: 'length', calls: [] };
          break;
        }
        case 'thinking': {
          const delta = head(part.delta, MAX_THINKING - this.stepThinking.length);
          if (delta === '') break;
          this.stepThinking += delta;
          deps.emit(run, { type: 'thinking', delta, text: this.stepThinking });
          break;
        }
        case 'tool-call':
          calls.push(part);
          break;
        case 'finish':
          this.usage = addUsage(this.usage, part.usage);
          if (part.usage.input > 0) this.contextUsed = part.usage.input;
          deps.emit(run, { type: 'usage', outputTokens: this.usage.output });
          return { kind: 'finished', reason: part.reason, calls };
        case 'failed':
          return { kind: 'failed', failure: part.failure };
      }
    }
    return { kind: 'stopped' };
  }

  /** Runs the calls of a step, in order. Every call and every result is durable before the next one happens. */
  private async useTools(
    requested: readonly { id: string; name: string; input: string }[],
    own: PromptMessage[],
    resultTokens: number,
  ): Promise<void> {
    const { active: run, deps, agent } = this;
    const tools = toolset(agent.tools);
    const ids = new Set<string>();
    const calls = requested.map(({ id, name, input }) => {
      // Some servers number their calls anew in every answer.
      const unique = id === '' || ids.has(id) ? `call_${crypto().randomUUID().slice(0, 8)}` : id.slice(0, 128);
      ids.add(unique);
      return { id: unique, call: prepareCall(tools, name, input) };
    });
    const content: AssistantPart[] = [
      ...this.parts(),
      ...calls.map(({ id, call }): AssistantPart => ({ type: 'toolCall', id, name: call.name, arguments: call.args })),
    ];
    own.push({
      role: 'assistant',
      text: this.stepText,
      toolCalls: calls.map(({ id, call }) => ({ id, name: call.name, arguments: call.args })),
    });
    this.journal.forget();
    await this.append([this.assistant(content, 'toolUse')]);
    this.before = run.text;
    this.stepText = '';
    this.stepThinking = '';
    this.toolsRan = true;
    this.open = calls.map(({ id, call }) => ({ id, name: call.name }));

    for (const { id, call } of calls) {
      if (this.isStopped()) return;
      const startedAt = deps.clock.now();
      deps.emit(run, { type: 'tool-start', toolCallId: id, name: call.name, args: call.args as Json, title: call.title });
      const outcome =
        this.workspace === undefined
          ? { text: 'The workspace cannot be opened.', isError: true }
          : await call.run({ workspace: this.workspace, signal: run.controller.signal });
      await this.append([this.toolResult(id, call.name, outcome.text, outcome.isError)]);
      this.open = this.open.filter((each) => each.id !== id);
      if (!outcome.isError && !this.toolNames.includes(call.name)) this.toolNames.push(call.name);
      deps.emit(run, {
        type: 'tool-end',
        toolCallId: id,
        name: call.name,
        isError: outcome.isError,
        text: outcome.text,
        meta: call.meta,
        title: call.title,
        startedAt,
      });
      own.push({
        role: 'tool',
        toolCallId: id,
        toolName: call.name,
        text: this.fence.wrap(`result of ${call.name}`, clipTokens(outcome.text, resultTokens)),
        isError: outcome.isError,
      });
    }
  }

  /** What was shown of a failed attempt is taken back, on the screen and on disk. */
  private async takeBack(): Promise<void> {
    const { active: run, deps } = this;
    this.journal.forget();
    this.stepText = '';
    this.stepThinking = '';
    run.text = this.before;
    deps.emit(run, { type: 'replace', itemId: `${this.itemBase}:${this.step}` });
    await deps.store.clearJournal(run.runId);
  }

  private pause(ms: number): Promise<void> {
    const { signal } = this.active.controller;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.deps.clock.after(ms, () => {
        signal.removeEventListener('abort', over);
        resolve();
      });
      const over = (): void => {
        cancel();
        resolve();
      };
      signal.addEventListener('abort', over, { once: true });
    });
  }

  private isStopped(): boolean {
    return this.active.controller.signal.aborted;
  }

  private async append(entries: readonly NewEntry[]): Promise<void> {
    const { active: run, deps } = this;
    await deps.store.appendStep(run.runId, entries, deps.clock.now(), (written) => deps.onWritten({ run: run.runId, ...written }));
  }

  private parts(): AssistantPart[] {
    return [
      ...(this.stepThinking === '' ? [] : [{ type: 'thinking' as const, thinking: this.stepThinking }]),
      ...(this.stepText === '' ? [] : [{ type: 'text' as const, text: this.stepText }]),
    ];
  }

  private entry(message: TranscriptMessage): NewEntry {
    return { id: crypto().randomUUID(), at: this.deps.clock.now(), message };
  }
  private assistant(
    content: readonly AssistantPart[],
    stopReason: 'stop' | 'toolUse' | 'error' | 'aborted' | 'interrupted',
    errorMessage?: string,
  ): NewEntry {
    return this.entry({
      role: 'assistant',
      content,
      provider: this.active.provider ?? 'none',
      model: this.active.model ?? 'none',
      api: this.api,
      usage: stopReason === 'toolUse' ? NO_USAGE : this.usage,
      stopReason,
      ...(errorMessage !== undefined && { errorMessage }),
    });
  }
  private toolResult(toolCallId: string, toolName: string, text: string, isError: boolean): NewEntry {
    return this.entry({ role: 'toolResult', toolCallId, toolName, text, isError });
  }
  /** Calls that will not be made any more get an answer, so that every call in a transcript has one. */
  private closing(): NewEntry[] {
    return this.open.map(({ id, name }) => this.toolResult(id, name, 'Not done: the run was stopped.', true));
  }

  private outcome(status: Outcome['status'], stopReason: string, entries: readonly NewEntry[], error?: RunError): Outcome {
    return {
      status,
      stopReason,
      entries,
      usage: this.usage,
      contextUsed: this.contextUsed,
      provider: this.active.provider,
      model: this.active.model,
      toolNames: this.toolNames,
      ...(error !== undefined && { error }),
    };
  }

  private finished(reason: string): Outcome {
    return this.outcome('ok', reason === 'other' || reason === 'tool-calls' ? 'stop' : reason, [this.assistant(this.parts(), 'stop')]);
  }

  failed(error: RunError): Outcome {
    return this.outcome('error', 'error', [...this.closing(), this.assistant(this.parts(), 'error', error.message)], error);
  }

  stopped(): Outcome {
    const cause = this.active.stop ?? { kind: 'interrupt' };
    const parts = this.parts();
    if (cause.kind === 'abort') {
      return this.outcome('aborted', cause.reason, [...this.closing(), ...(parts.length > 0 ? [this.assistant(parts, 'aborted')] : [])]);
    }
    return this.outcome(
      'interrupted',
      'interrupted',
      [...this.closing(), this.assistant(parts, 'interrupted', INTERRUPTED.message)],
      INTERRUPTED,
    );
  }
}
