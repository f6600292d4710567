import type { Cancel } from '../lib/clock.ts';
import { messageOf, UserError } from '../lib/errors.ts';
import type { WireError } from '../protocol/errors.ts';
import type {
  AbortOutcome,
  AbortRequest,
  Agent,
  AgentView,
  ModelView,
  RunEvent,
  RunEventBody,
  RunView,
  SendOutcome,
  SessionEvent,
  SessionView,
  TranscriptPage,
  TranscriptQuery,
  TurnRequest,
} from './api.ts';
import { crypto } from './builtins.ts';
import type { AgentEntry, AgentPorts, NewEntry, RunEnd, RunRecord, SessionRecord, Written } from './ports.ts';
import { createCatalog, refOf } from './providers/catalog.ts';
import { createLocalServers } from './providers/local-servers.ts';
import { type ConnectedModel, NO_USAGE } from './providers/model-stream.ts';
import { type ActiveRun, stopRun } from './run/active-run.ts';
import { checkRequest, digestOf } from './run/check-request.ts';
import type { Outcome } from './run/execute-run.ts';
import { createLanes } from './run/lanes.ts';
import { createModelMemory } from './run/model-memory.ts';
import { INTERRUPTED, recoveryEntries } from './run/recovery.ts';
import { agentOfSessionKey, canonicalSessionKey } from './session-key.ts';
import { createExpiry } from './sessions/expiry.ts';
import { sessionView } from './sessions/view.ts';
import { oneLine, visibleText } from './text.ts';

/** Waiting runs over all sessions. */
const MAX_WAITING = 1_000;
/** First look for model servers of this machine after the start, ms. */
const FIRST_LOOK_MS = 1_500;
/** An end that could not be written (disk full) is written again after this, ms, until it is or the gateway stops. */
const REWRITE_MS = 5_000;
const TITLE_CHARS = 60;
const PREVIEW_CHARS = 120;
const MAX_PAGE = 1_000;

/**
 * The resident agent. Starting it is cheap: no provider package, no scan, nothing but one query for runs of an earlier
 * life. What was running then is marked interrupted, with its partial text; what was waiting goes on at `resume`, so that
 * a start that fails after this one costs no turn.
 */
export async function createAgent(ports: AgentPorts): Promise<Agent> {
  const { store, clock, log, config } = ports;
  const local = createLocalServers({ specs: () => config.current().localServers, fetch: ports.fetch, clock });
  const catalog = createCatalog({ config: () => config.current(), local, fetch: ports.fetch, clock, tryModel: ports.tryModel });
  const memory = createModelMemory(clock);
  const lanes = createLanes(() => config.current().limits.maxConcurrent);

  const active = new Map<string, ActiveRun>();
  /** Sends that are being written, so that a repeat in the same moment is the same run. */
  const accepting = new Map<string, Promise<SendOutcome>>();
  const acceptingPerKey = new Map<string, number>();
  const waiters = new Map<string, Set<() => void>>();
  /** Ends that the disk did not take. */
  const unwritten = new Map<string, RunEnd>();
  const runListeners = new Set<(event: RunEvent) => void>();
  const sessionListeners = new Set<(event: SessionEvent) => void>();
  let draining = false;
  const cancels = new Set<Cancel>();

  /** A timer that a drain ends. */
  function later(ms: number, task: () => void): void {
    if (draining) return;
    const cancel = clock.after(ms, () => {
      cancels.delete(cancel);
      task();
    });
    cancels.add(cancel);
  }

  // ── events ─────────────────────────────────────────────────────────────────────────────────────────────────────

  function tell<T>(listeners: ReadonlySet<(event: T) => void>, event: T): void {
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (thrown) {
        log.error('a listener of the agent failed', { error: messageOf(thrown) });
      }
    }
  }
  function emit(run: ActiveRun, body: RunEventBody): void {
    const { runId, sessionKey, sessionId, agentId } = run;
    run.seq++;
    tell(runListeners, { runId, sessionKey, sessionId, agentId, origin: run.request.origin, seq: run.seq, ts: clock.now(), ...body });
  }
  function tellWritten({ entries, session }: Written): void {
    if (sessionListeners.size === 0) return;
    const view = viewOf(session);
    for (const entry of entries) tell(sessionListeners, { type: 'message', session: view, entry });
  }
  function tellChanged(reason: Extract<SessionEvent, { type: 'changed' }>['reason'], session: SessionRecord): void {
    if (sessionListeners.size > 0) tell(sessionListeners, { type: 'changed', reason, session: viewOf(session), ts: clock.now() });
  }

  // ── views ──────────────────────────────────────────────────────────────────────────────────────────────────────

  const agentEntry = (id: string): AgentEntry | undefined => config.current().agents.find((each) => each.id === id);
  const defaultAgent = (): AgentEntry => {
    const { agents, defaultAgentId } = config.current();
    const entry = agents.find(({ id }) => id === defaultAgentId) ?? agents[0];
    if (entry === undefined) throw new Error('there is no agent');
    return entry;
  };
  const activeOf = (key: string): ActiveRun[] => [...active.values()].filter((run) => run.sessionKey === key);

  function viewOf(record: SessionRecord, runs: readonly ActiveRun[] = activeOf(record.key)): SessionView {
    const model =
      record.model === undefined ? catalog.defaultView(agentEntry(record.agentId) ?? defaultAgent()) : catalog.find(record.model);
    return sessionView(
      record,
      { runIds: runs.map(({ runId }) => runId), running: runs.some(({ status }) => status === 'running') },
      model && withWindow(model),
    );
  }
  /** A model with the context it has shown to have. */
  function withWindow(view: ModelView): ModelView {
    const window = memory.window(view);
    return window === undefined ? view : { ...view, contextWindow: window };
  }
  function runView(record: RunRecord): RunView {
    const live = active.get(record.runId);
    const { digest: _, ...rest } = record;
    if (live === undefined) {
      return {
        ...rest,
        // Read when somebody looks at it: most who ask for a run want to know how it ended.
        get text() {
          return store.runText(record.runId);
        },
      };
    }
    return {
      ...rest,
      status: live.status,
      text: live.text,
      ...(live.startedAt !== undefined && { startedAt: live.startedAt }),
      ...(live.provider !== undefined && { provider: live.provider }),
      ...(live.model !== undefined && { model: live.model }),
    };
  }
  const run = (runId: string): RunView | undefined => {
    const record = store.run(runId);
    return record && runView(record);
  };
  /** The record of a key as a client may write it. */
  const sessionOf = (key: string): SessionRecord | undefined => {
    const canonical = canonicalSessionKey(key, config.current().defaultAgentId);
    return canonical === undefined ? undefined : store.session(canonical);
  };

  // ── runs ───────────────────────────────────────────────────────────────────────────────────────────────────────

  function activate(record: RunRecord, request: TurnRequest): ActiveRun {
    const entry: ActiveRun = {
      runId: record.runId,
      sessionKey: record.sessionKey,
      sessionId: record.sessionId,
      agentId: record.agentId,
      acceptedAt: record.acceptedAt,
      request,
      controller: new AbortController(),
      status: 'queued',
      stop: undefined,
      startedAt: undefined,
      provider: undefined,
      model: undefined,
      text: '',
      seq: 0,
    };
    active.set(entry.runId, entry);
    return entry;
  }
  const enqueue = (entry: ActiveRun): void => lanes.add(entry.sessionKey, entry.runId, () => perform(entry));

  /** One run, from its turn in the lane to its durable end. Never rejects. */
  async function perform(run: ActiveRun): Promise<void> {
    run.status = 'running';
    const limit = run.request.timeoutMs ?? config.current().timeouts.run;
    const cancel = clock.after(limit, () => stopRun(run, { kind: 'abort', reason: 'timeout' }));
    let outcome: Outcome;
    try {
      const session = store.session(run.sessionKey);
      if (session !== undefined) tellChanged('patch', session);
      const agent = agentEntry(run.agentId);
      if (agent === undefined) outcome = failedOutcome(`The agent "${run.agentId}" is not configured any more.`);
      else {
        // The loop, its tools and the prompt are loaded by the first run and not by the start.
        const { executeRun } = await import('./run/execute-run.ts');
        outcome = await executeRun(run, agent, {
          store,
          config: () => config.current(),
          catalog,
          guide,
          memory,
          clock,
          log,
          emit,
          onWritten: tellWritten,
        });
      }
    } catch (thrown) {
      log.error('a run could not be begun', { runId: run.runId, cause: messageOf(thrown) });
      // Words of ours are for people; those of a bug (a path, a module) are for the log.
      outcome = failedOutcome(
        thrown instanceof UserError ? thrown.message : 'The run could not be begun. The cause is in the log: openclaw logs',
      );
    } finally {
      cancel();
    }
    await finish(run, outcome);
  }

  async function finish(run: ActiveRun, outcome: Outcome): Promise<void> {
    const endedAt = clock.now();
    const end: RunEnd = {
      runId: run.runId,
      status: outcome.status,
      at: endedAt,
      stopReason: outcome.stopReason,
      usage: outcome.usage,
      entries: outcome.entries,
      ...(outcome.contextUsed !== undefined && { contextUsed: outcome.contextUsed }),
      ...(outcome.error !== undefined && { error: outcome.error }),
      ...(outcome.provider !== undefined && { provider: outcome.provider }),
      ...(outcome.model !== undefined && { model: outcome.model }),
      ...(previewOf(outcome.entries) !== undefined && { preview: previewOf(outcome.entries) ?? '' }),
    };
    let written: Written | undefined;
    let told = outcome;
    try {
      written = await store.finish(end);
    } catch (thrown) {
      log.error('the end of a run could not be written', { runId: run.runId, error: messageOf(thrown) });
      told = {
        ...outcome,
        status: 'error',
        error: { kind: 'internal', message: `The answer could not be saved: ${messageOf(thrown)}`, fix: 'openclaw status --deep' },
      };
      rewrite(end);
    }
    active.delete(run.runId);
    if (written !== undefined) tellWritten(written);
    emit(run, endEvent(run, told, endedAt));
    for (const wake of waiters.get(run.runId) ?? []) wake();
    waiters.delete(run.runId);
    if (written !== undefined) tellChanged('end', written.session);
    if (run.request.isOneOff === true) expiry.ended();
  }

  /** Keeps trying: as long as this is not written, the next start would call the run interrupted. */
  function rewrite(end: RunEnd): void {
    unwritten.set(end.runId, end);
    later(REWRITE_MS, () => void writeAgain(end).catch(() => rewrite(end)));
  }
  async function writeAgain(end: RunEnd): Promise<void> {
    const written = await store.finish(end);
    unwritten.delete(end.runId);
    tellWritten(written);
  }

  const expiry = createExpiry({
    sweep: (endedBefore) => store.sweepUnnamed(endedBefore),
    clock,
    log,
    keepMs: () => config.current().limits.keepUnnamedMs,
    onGone: (session) => tellChanged('delete', session),
  });

  let guideMade: Promise<ConnectedModel> | undefined;
  function guide(): Promise<ConnectedModel> {
    guideMade ??= Promise.all([import('./guide/guide.ts'), import('./guide/doc-search.ts')]).then(
      ([{ guideModel }, { createDocSearch }]) => {
        let python: Promise<{ readonly found: boolean; readonly text: string }> | undefined;
        return guideModel({
          search: createDocSearch(() => ports.here().docsDir),
          facts: async () => {
            python ??= ports.python();
            return { here: ports.here(), servers: await local.fresh(), keyNames: config.current().keyNames, python: await python };
          },
        });
      },
    );
    return guideMade;
  }

  // ── sending and stopping ───────────────────────────────────────────────────────────────────────────────────────

  const refused = (error: WireError): SendOutcome => ({ status: 'refused', error });

  function known(record: RunRecord, digest: string): SendOutcome {
    if (record.digest !== digest) {
      return refused({
        code: 'INVALID_REQUEST',
        message: 'this idempotency key was used for another message',
        details: { code: 'IDEMPOTENCY_MISMATCH', runId: record.runId },
      });
    }
    if (record.endedAt === undefined) return { status: 'in_flight', runId: record.runId };
    return { status: 'ended', runId: record.runId, run: runView(record) };
  }

  async function send(request: TurnRequest): Promise<SendOutcome> {
    const wrong = checkRequest(request);
    if (wrong !== undefined) return refused(wrong);
    const digest = digestOf(request);
    const before = store.run(request.runId);
    if (before !== undefined) return known(before, digest);
    const twin = accepting.get(request.runId);
    if (twin !== undefined) {
      await twin;
      const record = store.run(request.runId);
      return record === undefined ? twin : known(record, digest);
    }
    const outcome = accept(request, digest);
    accepting.set(request.runId, outcome);
    try {
      return await outcome;
    } finally {
      accepting.delete(request.runId);
    }
  }

  async function accept(request: TurnRequest, digest: string): Promise<SendOutcome> {
    const { sessionKey: key } = request;
    if (draining) return refused({ code: 'UNAVAILABLE', message: 'the gateway is stopping', retryable: true, retryAfterMs: 2_000 });
    const agentId = agentOfSessionKey(key);
    if (agentEntry(agentId) === undefined) {
      return refused({ code: 'INVALID_REQUEST', message: `unknown agent "${agentId}"`, details: { code: 'UNKNOWN_AGENT' } });
    }
    if (request.model !== undefined && catalog.find(request.model) === undefined) {
      await local.fresh();
      if (catalog.find(request.model) === undefined) return refused(unknownModel(request.model));
    }
    const { queueCap } = config.current().limits;
    const coming = acceptingPerKey.get(key) ?? 0;
    // One may run; the rest waits.
    const busy = activeOf(key).length + coming;
    if (busy > queueCap || lanes.waitingInAll() + accepting.size > MAX_WAITING) {
      return refused({
        code: 'UNAVAILABLE',
        message: `too many messages are waiting in this session (${queueCap})`,
        details: { code: 'QUEUE_FULL', cap: queueCap },
        retryable: true,
        retryAfterMs: 5_000,
      });
    }
    acceptingPerKey.set(key, coming + 1);
    try {
      const accepted = await store.accept({
        request,
        agentId,
        digest,
        at: clock.now(),
        entryId: crypto().randomUUID(),
        newSessionId: crypto().randomUUID(),
        title: oneLine(request.message, TITLE_CHARS),
        preview: oneLine(request.message, PREVIEW_CHARS),
      });
      if (accepted.kind === 'known') return known(accepted.run, digest);
      const entry = activate(accepted.run, request);
      // Whoever sent it hears that it was taken before anything that comes of it: the answer leaves in this turn of the event loop.
      setImmediate(() => {
        tellWritten({ entries: [accepted.entry], session: accepted.session });
        tellChanged(accepted.created ? 'create' : 'send', accepted.session);
        enqueue(entry);
      });
      return { status: 'started', runId: request.runId };
    } catch (thrown) {
      log.error('a message could not be stored', { error: messageOf(thrown) });
      return refused({
        code: 'UNAVAILABLE',
        message: `the message could not be stored: ${messageOf(thrown)}`,
        details: { code: 'STORE_UNAVAILABLE' },
        retryable: true,
      });
    } finally {
      const left = (acceptingPerKey.get(key) ?? 1) - 1;
      if (left === 0) acceptingPerKey.delete(key);
      else acceptingPerKey.set(key, left);
    }
  }

  async function abort(request: AbortRequest): Promise<AbortOutcome> {
    const { sessionKey, runId, reason, mayAbort } = request;
    const runs = activeOf(sessionKey);
    const owned = (each: ActiveRun): boolean => mayAbort({ runId: each.runId, principalId: each.request.origin.principalId });
    let chosen: ActiveRun[];
    if (runId === undefined) chosen = runs.filter(owned);
    else {
      const one = active.get(runId);
      if (one === undefined) {
        const record = store.run(runId);
        if (record !== undefined && record.sessionKey !== sessionKey) return { ok: false, error: otherSession(runId) };
        return { ok: true, runIds: [] };
      }
      if (one.sessionKey !== sessionKey) return { ok: false, error: otherSession(runId) };
      if (!owned(one)) return { ok: false, error: { code: 'FORBIDDEN', message: 'that run belongs to somebody else' } };
      chosen = [one];
    }
    await stopAll(chosen, reason);
    return { ok: true, runIds: chosen.map((each) => each.runId) };
  }

  /** Stops runs and resolves when their ends are durable. */
  async function stopAll(runs: readonly ActiveRun[], reason: AbortRequest['reason']): Promise<void> {
    const ends = runs.map((each) => ended(each.runId));
    // The waiting ones first: none of them must begin because the one before it has just ended.
    for (const each of runs.toReversed()) {
      const waiting = lanes.remove(each.sessionKey, each.runId);
      stopRun(each, { kind: 'abort', reason });
      if (waiting) void finish(each, { ...failedOutcome(''), status: 'aborted', stopReason: reason, entries: [] });
    }
    await Promise.all(ends);
  }

  /** Resolves when a run is in memory no more. */
  function ended(runId: string): Promise<void> {
    if (!active.has(runId)) return Promise.resolve();
    return new Promise((resolve) => {
      const set = waiters.get(runId) ?? new Set();
      set.add(resolve);
      waiters.set(runId, set);
    });
  }

  async function wait(runId: string, timeoutMs: number): Promise<RunView | undefined> {
    if (active.has(runId)) {
      await new Promise<void>((resolve) => {
        const set = waiters.get(runId) ?? new Set();
        waiters.set(runId, set);
        const wake = (): void => {
          cancel();
          set.delete(wake);
          resolve();
        };
        const cancel = clock.after(Math.max(0, Math.min(timeoutMs, 2 ** 31 - 1)), wake);
        set.add(wake);
      });
    }
    return run(runId);
  }

  // ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────────

  async function resetSession(key: string): Promise<SessionView> {
    const canonical = mustBeKey(key);
    await stopAll(activeOf(canonical), 'rpc');
    const record = await store.resetSession(canonical, agentOfSessionKey(canonical), crypto().randomUUID(), clock.now());
    tellChanged('reset', record);
    return viewOf(record);
  }

  async function setSessionModel(key: string, model: string | null): Promise<SessionView | WireError> {
    const canonical = mustBeKey(key);
    let ref: string | null = null;
    if (model !== null) {
      if (catalog.find(model) === undefined) await local.fresh();
      const view = catalog.find(model);
      if (view === undefined) return unknownModel(model);
      ref = refOf(view);
    }
    const record = await store.setSessionModel(canonical, agentOfSessionKey(canonical), crypto().randomUUID(), ref, clock.now());
    tellChanged('patch', record);
    return viewOf(record);
  }

  function mustBeKey(key: string): string {
    const canonical = canonicalSessionKey(key, config.current().defaultAgentId);
    if (canonical === undefined) throw new Error('not a session key');
    return canonical;
  }

  function transcript(sessionKey: string, query: TranscriptQuery): TranscriptPage {
    const record = sessionOf(sessionKey);
    // An id that was reset away is still readable by itself.
    const sessionId = query.sessionId ?? record?.sessionId ?? (store.keyOfSessionId(sessionKey) === undefined ? undefined : sessionKey);
    if (sessionId === undefined) return { sessionKey, entries: [], total: 0, hasMore: false, bytes: 0 };
    const limit = Math.max(0, Math.min(Math.floor(query.limit), MAX_PAGE));
    const page = store.entries(sessionId, { ...query, limit });
    const first = page.entries[0];
    return {
      sessionKey: record?.key ?? sessionKey,
      sessionId,
      entries: page.entries,
      total: page.total,
      hasMore: first !== undefined && first.seq > 1,
      bytes: page.bytes,
    };
  }

  async function drain(deadlineMs: number): Promise<void> {
    draining = true;
    lanes.hold();
    for (const cancel of cancels) cancel();
    cancels.clear();
    expiry.stop();
    // What has not begun stays queued on disk and goes on at the next start.
    const running = [...active.values()].filter(({ status }) => status === 'running');
    const all = Promise.all(running.map(({ runId }) => ended(runId))).then(() => {});
    let cancel: Cancel = () => {};
    await Promise.race([
      all,
      new Promise<void>((resolve) => {
        cancel = clock.after(Math.max(0, deadlineMs), resolve);
      }),
    ]);
    cancel();
    for (const each of running) if (active.has(each.runId)) stopRun(each, { kind: 'interrupt' });
    await all;
    // The last chance of what a disk did not take: it may do so now.
    await Promise.allSettled([...unwritten.values()].map(writeAgain));
    await ports.tryModel?.stop();
  }

  // ── start ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async function markInterrupted({ runId, sessionId }: RunRecord): Promise<void> {
    const entries = recoveryEntries(store.entriesOfRun(sessionId, runId), store.journal(runId), clock.now());
    const end: RunEnd = {
      runId,
      status: 'interrupted',
      at: clock.now(),
      stopReason: 'interrupted',
      usage: NO_USAGE,
      error: INTERRUPTED,
      entries,
      ...(previewOf(entries) !== undefined && { preview: previewOf(entries) ?? '' }),
    };
    try {
      await store.finish(end);
      log.info('a run was cut by the last stop and is marked interrupted', { runId });
    } catch (thrown) {
      // A disk that takes nothing now must not keep the gateway from starting.
      log.error('a run that the last stop cut could not be marked yet', { runId, error: messageOf(thrown) });
      rewrite(end);
    }
  }
  const unfinished = store.unfinishedRuns();
  // Together, in one commit; what waited behind them goes on only when they are closed.
  await Promise.all(unfinished.flatMap(({ run: record }) => (record.status === 'queued' ? [] : [markInterrupted(record)])));
  for (const { run: record, request } of unfinished) if (record.status === 'queued') enqueue(activate(record, request));
  later(FIRST_LOOK_MS, () => void local.fresh());

  return {
    send,
    abort,
    wait,
    run,
    sessions(query) {
      const { activeMinutes, ...rest } = query;
      const page = store.sessions({
        ...rest,
        limit: Math.max(0, Math.min(query.limit ?? 100, MAX_PAGE)),
        ...(activeMinutes !== undefined && { activeSince: clock.now() - activeMinutes * 60_000 }),
      });
      const runs = Map.groupBy(active.values(), ({ sessionKey }) => sessionKey);
      return { total: page.total, sessions: page.sessions.map((record) => viewOf(record, runs.get(record.key) ?? [])) };
    },
    session(key) {
      const record = sessionOf(key);
      return record && viewOf(record);
    },
    resolveSession({ key, sessionId, label }) {
      if (key !== undefined) return sessionOf(key)?.key ?? store.keyOfSessionId(key) ?? store.keyOfLabel(key);
      if (sessionId !== undefined) return store.keyOfSessionId(sessionId);
      return label === undefined ? undefined : store.keyOfLabel(label);
    },
    transcript,
    resetSession,
    setSessionModel,
    agents: () =>
      config.current().agents.map(
        ({ id, name, emoji, avatar, workspace }): AgentView => ({
          id,
          name,
          workspace,
          isDefault: id === defaultAgent().id,
          ...(emoji !== undefined && { emoji }),
          ...(avatar !== undefined && { avatar }),
        }),
      ),
    models() {
      // Answered from what was seen; looked anew in the background when that is old.
      void local.fresh();
      return catalog.views().map(withWindow);
    },
    async refreshModels() {
      await local.look();
      return catalog.views().map(withWindow);
    },
    defaultModel() {
      const view = catalog.defaultView(defaultAgent());
      return view && withWindow(view);
    },
    onRunEvent: (listener) => subscribe(runListeners, listener),
    onSessionEvent: (listener) => subscribe(sessionListeners, listener),
    activeRuns: () => active.size,
    resume() {
      if (!draining) lanes.release();
    },
    drain,
  };
}

function subscribe<T>(listeners: Set<T>, listener: T): Cancel {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

function failedOutcome(message: string): Outcome {
  return {
    status: 'error',
    stopReason: 'error',
    error: { kind: 'internal', message },
    usage: NO_USAGE,
    contextUsed: undefined,
    entries: [],
    provider: undefined,
    model: undefined,
    toolNames: [],
  };
}

function endEvent(run: ActiveRun, outcome: Outcome, endedAt: number): RunEventBody {
  const { text } = run;
  const started = run.startedAt === undefined ? {} : { startedAt: run.startedAt };
  switch (outcome.status) {
    case 'ok':
      return {
        type: 'end',
        outcome: 'ok',
        startedAt: run.startedAt ?? endedAt,
        endedAt,
        text,
        stopReason: outcome.stopReason,
        usage: outcome.usage,
        provider: outcome.provider ?? 'none',
        model: outcome.model ?? 'none',
        toolNames: outcome.toolNames,
      };
    case 'aborted': {
      const stopReason = run.stop?.kind === 'abort' ? run.stop.reason : 'rpc';
      return { type: 'end', outcome: 'aborted', ...started, endedAt, text, stopReason };
    }
    case 'error':
    case 'interrupted':
      return {
        type: 'end',
        outcome: outcome.status,
        ...started,
        endedAt,
        text,
        error: outcome.error ?? { kind: 'internal', message: 'The run failed.' },
      };
  }
}

function previewOf(entries: readonly NewEntry[]): string | undefined {
  const last = entries.findLast(({ message }) => message.role === 'assistant')?.message;
  const text = last?.role === 'assistant' ? oneLine(visibleText(last.content), PREVIEW_CHARS) : '';
  return text === '' ? undefined : text;
}

const unknownModel = (ref: string): WireError => ({
  code: 'INVALID_REQUEST',
  message: `unknown model "${oneLine(ref, 120)}"; choose one of: openclaw models list`,
  details: { code: 'UNKNOWN_MODEL' },
});
const otherSession = (runId: string): WireError => ({
  code: 'INVALID_REQUEST',
  message: 'runId does not match sessionKey',
  details: { code: 'RUN_SESSION_MISMATCH', runId },
});
