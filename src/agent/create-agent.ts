import type { Cancel } from '../lib/clock.ts';
import { messageOf, UserError } from '../lib/errors.ts';
import type { WireError } from '../protocol/errors.ts';
import {
  type AbortOutcome,
  type AbortRequest,
  type Agent,
  type AgentView,
  BUILTIN_PROVIDER,
  type HeldRun,
  type ModelView,
  type RunEvent,
  type RunEventBody,
  type RunView,
  type SendOutcome,
  type SessionEvent,
  type SessionView,
  type TranscriptPage,
  type TranscriptQuery,
  type TurnRequest,
} from './api.ts';
import { crypto } from './builtins.ts';
import type { AgentEntry, AgentPorts, LoadedRequest, NewEntry, RunEnd, RunHead, RunRecord, SessionRecord, Written } from './ports.ts';
import { createCatalog, refOf } from './providers/catalog.ts';
import { createLocalServers } from './providers/local-servers.ts';
import { type ConnectedModel, NO_USAGE } from './providers/model-stream.ts';
import { type ActiveRun, stopRun } from './run/active-run.ts';
import { checkRequest } from './run/check-request.ts';
import type { Outcome } from './run/execute-run.ts';
import { createLanes } from './run/lanes.ts';
import { loadRequest } from './run/load-request.ts';
import { createModelMemory } from './run/model-memory.ts';
import { INTERRUPTED, recoveryEntries } from './run/recovery.ts';
import { digestOf, NotBase64, takeIn } from './run/take-in.ts';
import { BUDGET, sizeOf, WaitingBudget } from './run/waiting-budget.ts';
import { agentOfSessionKey, canonicalSessionKey } from './session-key.ts';
import { createExpiry } from './sessions/expiry.ts';
import { sessionView } from './sessions/view.ts';
import { oneLine, visibleText } from './text.ts';

/** Runs at a time over all providers, for each that may run at a time with one. */
const PROVIDERS_AT_A_TIME = 4;
/** Requests of running turns that are in memory, bytes: what a provider is sent takes a multiple of it. */
const RUNNING_BYTES = { bytesPerPrincipal: 24 * 1024 * 1024, bytesInAll: 48 * 1024 * 1024 };
/** A run over which the process died in so many lives is set aside. */
const MAX_DEATHS = 2;
/** Files of attachments that no run names are looked for this long after the start, ms. */
const SWEEP_MS = 3_000;
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
  const lanes = createLanes(() => {
    const perProvider = config.current().limits.maxConcurrent;
    return { perProvider, inAll: perProvider * PROVIDERS_AT_A_TIME, ...RUNNING_BYTES };
  });
  const budget = new WaitingBudget();

  const active = new Map<string, ActiveRun>();
  /** Sends that are being written, so that a repeat in the same moment is the same run. */
  const accepting = new Map<string, { readonly key: string; readonly outcome: Promise<SendOutcome> }>();
  const acceptingPerKey = new Map<string, number>();
  /** Resolves when what was sent to a session so far is with the store, so that what has attachments is not overtaken. */
  const acceptingTails = new Map<string, Promise<unknown>>();
  /** Runs that were taken in this turn of the event loop and get into their lane in the next one. */
  const beforeLane = new Set<string>();
  let acceptingBytes = 0;
  /** Resolves when the run that is being taken up from the disk is on disk as running. */
  let takenUp: Promise<void> = Promise.resolve();
  const waiters = new Map<string, Set<() => void>>();
  /** Ends that the disk did not take. */
  const unwritten = new Map<string, { readonly run: ActiveRun; readonly end: RunEnd }>();
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
    tell(runListeners, { runId, sessionKey, sessionId, agentId, origin: run.origin, seq: run.seq, ts: clock.now(), ...body });
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

  interface Kept {
    readonly head: RunHead;
    readonly bytes: number;
    readonly file?: string | undefined;
    readonly deaths?: number;
    readonly heldAt?: number | undefined;
  }
  function activate(record: RunRecord, kept: Kept): ActiveRun {
    const entry: ActiveRun = {
      runId: record.runId,
      sessionKey: record.sessionKey,
      sessionId: record.sessionId,
      agentId: record.agentId,
      acceptedAt: record.acceptedAt,
      origin: kept.head.origin ?? { principalId: record.principalId, via: 'chat' },
      wanted: kept.head.model,
      bytes: kept.bytes,
      file: kept.file,
      wasCut: record.status === 'running',
      controller: new AbortController(),
      status: 'queued',
      deaths: kept.deaths ?? 0,
      heldAt: kept.heldAt,
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
  /** What a run leaves on disk beside its transcript goes when its end is written. */
  function release(run: ActiveRun): void {
    budget.remove(run.origin.principalId, run.bytes);
    if (run.file !== undefined) void ports.attachments.remove(run.file);
  }

  function providerOf(agentId: string, sessionKey: string, wanted: string | undefined): string {
    const ref = wanted ?? store.session(sessionKey)?.model;
    const agent = agentEntry(agentId);
    const view = ref !== undefined ? catalog.find(ref) : agent && catalog.defaultView(agent);
    return view?.provider ?? ref ?? BUILTIN_PROVIDER;
  }
  const providerOfRun = (run: ActiveRun | undefined): string =>
    run === undefined ? BUILTIN_PROVIDER : providerOf(run.agentId, run.sessionKey, run.wanted);

  /** `fresh`: what was asked, if it may begin at once; a run that has to wait does not hold it. */
  function enqueue(run: ActiveRun, provider: string, fresh?: LoadedRequest): void {
    let inMemory = fresh;
    const work = (): Promise<void> => perform(run, inMemory);
    lanes.add({ id: run.runId, lane: run.sessionKey, principal: run.origin.principalId, provider, bytes: run.bytes, work });
    inMemory = undefined;
  }

  /** Loads what was asked: one at a time, and marked on disk before, so that a start knows which one the process died over. */
  async function takeUp(run: ActiveRun): Promise<{ readonly request: LoadedRequest; readonly over: () => void }> {
    const { promise, resolve: over } = Promise.withResolvers<void>();
    const before = takenUp;
    takenUp = before.then(() => promise);
    await before;
    try {
      await store.mark([run.runId]).catch((thrown: unknown) => {
        throw new UserError('RUN_UNMARKED', `Not begun, because the gateway cannot write it down: ${messageOf(thrown)}`);
      });
      const kept = store.request(run.runId);
      if (kept === undefined) throw new Error('the request of a run is missing');
      const request = await loadRequest(kept, run.file, ports.attachments).catch((thrown: unknown) => {
        throw new UserError('REQUEST_LOST', `What was asked cannot be read any more: ${messageOf(thrown)}`);
      });
      return { request, over };
    } catch (thrown) {
      over();
      throw thrown;
    }
  }

  /** One run, from its turn in the lane to its durable end. Never rejects. */
  async function perform(run: ActiveRun, fresh: LoadedRequest | undefined): Promise<void> {
    run.status = 'running';
    let cancel: Cancel = () => {};
    let over = (): void => {};
    let outcome: Outcome;
    try {
      const session = store.session(run.sessionKey);
      if (session !== undefined) tellChanged('patch', session);
      const agent = agentEntry(run.agentId);
      if (agent === undefined) outcome = failedOutcome(`The agent "${run.agentId}" is not configured any more.`);
      else {
        const taken = fresh === undefined ? await takeUp(run) : { request: fresh, over };
        over = taken.over;
        const limit = taken.request.timeoutMs ?? config.current().timeouts.run;
        cancel = clock.after(limit, () => stopRun(run, { kind: 'abort', reason: 'timeout' }));
        // The loop, its tools and the prompt are loaded by the first run and not by the start.
        const { executeRun } = await import('./run/execute-run.ts');
        outcome = await executeRun(run, taken.request, agent, {
          store: {
            ...store,
            markRunning: (runId, at) => store.markRunning(runId, at).finally(over),
          },
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
      over();
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
    let isOver = false;
    const over = (outcome: Outcome, written?: Written): void => {
      isOver = true;
      active.delete(run.runId);
      if (written !== undefined) {
        release(run);
        tellWritten(written);
      }
      emit(run, endEvent(run, outcome, endedAt));
      for (const wake of waiters.get(run.runId) ?? []) wake();
      waiters.delete(run.runId);
      if (written !== undefined) tellChanged('end', written.session);
      if (run.origin.via === 'http') expiry.ended();
    };
    try {
      const written = await store.finish(end, (written) => over(outcome, written));
      // It had ended already.
      if (!isOver) over(outcome, written);
    } catch (thrown) {
      log.error('the end of a run could not be written', { runId: run.runId, error: messageOf(thrown) });
      rewrite(run, end);
      over({
        ...outcome,
        status: 'error',
        error: { kind: 'internal', message: `The answer could not be saved: ${messageOf(thrown)}`, fix: 'openclaw status --deep' },
      });
    }
  }

  /** Keeps trying: as long as this is not written, the next start would call the run interrupted. */
  function rewrite(run: ActiveRun, end: RunEnd): void {
    unwritten.set(end.runId, { run, end });
    later(REWRITE_MS, () => void writeAgain(run, end).catch(() => rewrite(run, end)));
  }
  async function writeAgain(run: ActiveRun, end: RunEnd): Promise<void> {
    await store.finish(end, tellWritten);
    unwritten.delete(end.runId);
    release(run);
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

  const bytesFull = (retryAfterMs: number): SendOutcome =>
    refused({
      code: 'UNAVAILABLE',
      message: 'too many bytes are waiting; try again when some of these messages are answered',
      details: { code: 'QUEUE_BYTES', limit: BUDGET.bytesPerPrincipal, limitInAll: BUDGET.bytesInAll },
      retryable: true,
      retryAfterMs,
    });
  const queueFull = (message: string, cap: number): SendOutcome =>
    refused({ code: 'UNAVAILABLE', message, details: { code: 'QUEUE_FULL', cap }, retryable: true, retryAfterMs: 5_000 });

  async function send(request: TurnRequest, onTaken: () => void = () => {}): Promise<SendOutcome> {
    const wrong = checkRequest(request);
    if (wrong !== undefined) return refused(wrong);
    const { texts, all: size } = sizeOf(request);
    if (acceptingBytes > 0 && acceptingBytes + size > BUDGET.accepting) return bytesFull(1_000);
    acceptingBytes += size;
    try {
      const before = store.run(request.runId);
      if (before !== undefined) return known(before, await digestOf(request));
      const twin = accepting.get(request.runId);
      if (twin !== undefined) {
        await twin.outcome;
        const record = store.run(request.runId);
        return record === undefined ? twin.outcome : known(record, await digestOf(request));
      }
      const outcome = accept(request, texts, size, onTaken);
      accepting.set(request.runId, { key: request.sessionKey, outcome });
      try {
        return await outcome;
      } finally {
        accepting.delete(request.runId);
      }
    } catch (thrown) {
      if (thrown instanceof NotBase64) return refused({ code: 'INVALID_REQUEST', message: thrown.message });
      throw thrown;
    } finally {
      acceptingBytes -= size;
    }
  }

  async function accept(request: TurnRequest, textBytes: number, size: number, onTaken: () => void): Promise<SendOutcome> {
    const { sessionKey: key } = request;
    const stopping = (): SendOutcome =>
      refused({ code: 'UNAVAILABLE', message: 'the gateway is stopping', retryable: true, retryAfterMs: 2_000 });
    if (draining) return stopping();
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
    if (busy > queueCap) return queueFull(`too many messages are waiting in this session (${queueCap})`, queueCap);
    const { principalId } = request.origin;
    const over = budget.refusal(principalId, size);
    if (over === 'bytes') return bytesFull(5_000);
    if (over === 'runs') return queueFull('too many messages are waiting', BUDGET.runsInAll);
    budget.add(principalId, size);
    acceptingPerKey.set(key, coming + 1);
    const before = acceptingTails.get(key);
    const handedOver = Promise.withResolvers<void>();
    const tail = Promise.all([before, handedOver.promise]);
    acceptingTails.set(key, tail);
    let file: string | undefined;
    let isTaken = false;
    try {
      const taking = takeIn(request, textBytes, ports.attachments);
      const taken = taking instanceof Promise ? await taking : taking;
      ({ file } = taken);
      if (before !== undefined) await before;
      if (draining) return stopping();
      const provider = providerOf(agentId, key, request.model);
      // Attachments are on disk now and stay there.
      const { attachments = [], ...texts } = request;
      const fresh = attachments.length === 0 ? texts : undefined;
      const newRun = {
        request: taken.request,
        ...(taken.spilled !== undefined && { spilled: taken.spilled }),
        bytes: size,
        ...(file !== undefined && { file }),
        agentId,
        digest: taken.digest,
        at: clock.now(),
        entryId: crypto().randomUUID(),
        newSessionId: crypto().randomUUID(),
        title: oneLine(request.message, TITLE_CHARS),
        preview: oneLine(request.message, PREVIEW_CHARS),
      };
      const stored = store.accept(newRun, ({ run, entry, session, created }) => {
        isTaken = true;
        const { origin, model } = request;
        const taken = activate(run, { head: { origin, ...(model !== undefined && { model }) }, bytes: size, file });
        onTaken();
        tellWritten({ entries: [entry], session });
        tellChanged(created ? 'create' : 'send', session);
        // In a turn of its own: who asked by HTTP listens to the run when it knows that it was taken.
        beforeLane.add(taken.runId);
        setImmediate(() => {
          if (beforeLane.delete(taken.runId)) enqueue(taken, provider, fresh);
        });
      });
      handedOver.resolve();
      const accepted = await stored;
      if (accepted.kind === 'known') return known(accepted.run, taken.digest);
      return { status: 'started', runId: request.runId };
    } catch (thrown) {
      if (thrown instanceof NotBase64) throw thrown;
      log.error('a message could not be stored', { error: messageOf(thrown) });
      return refused({
        code: 'UNAVAILABLE',
        message: `the message could not be stored: ${messageOf(thrown)}`,
        details: { code: 'STORE_UNAVAILABLE' },
        retryable: true,
      });
    } finally {
      handedOver.resolve();
      if (acceptingTails.get(key) === tail) acceptingTails.delete(key);
      if (!isTaken) {
        budget.remove(principalId, size);
        if (file !== undefined) void ports.attachments.remove(file);
      }
      const left = (acceptingPerKey.get(key) ?? 1) - 1;
      if (left === 0) acceptingPerKey.delete(key);
      else acceptingPerKey.set(key, left);
    }
  }

  async function abort(request: AbortRequest): Promise<AbortOutcome> {
    const { sessionKey, runId, reason, mayAbort } = request;
    await arrived(sessionKey);
    const runs = activeOf(sessionKey);
    const owned = (each: ActiveRun): boolean => mayAbort({ runId: each.runId, principalId: each.origin.principalId });
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

  /** Resolves when what was sent to a session so far was taken or refused: a stop or a reset that follows a send means that one too. */
  async function arrived(key: string): Promise<void> {
    const coming = [...accepting.values()].flatMap((each) => (each.key === key ? each.outcome : []));
    if (coming.length > 0) await Promise.allSettled(coming);
  }

  /** Stops runs and resolves when their ends are durable. */
  async function stopAll(runs: readonly ActiveRun[], reason: AbortRequest['reason']): Promise<void> {
    const ends = runs.map((each) => ended(each.runId));
    // The waiting ones first: none of them must begin because the one before it has just ended.
    for (const each of runs.toReversed()) {
      const waiting = beforeLane.delete(each.runId) || lanes.remove(each.sessionKey, each.runId) || each.heldAt !== undefined;
      each.heldAt = undefined;
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

  const heldRun = (runId: string): ActiveRun | undefined => {
    const one = active.get(runId);
    return one?.heldAt === undefined ? undefined : one;
  };

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
    await arrived(canonical);
    await stopAll(activeOf(canonical), 'rpc');
    const told = (session: SessionRecord): void => tellChanged('reset', session);
    return viewOf(await store.resetSession(canonical, agentOfSessionKey(canonical), crypto().randomUUID(), clock.now(), told));
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
    const told = (session: SessionRecord): void => {
      lanes.refresh(canonical, (runId) => providerOfRun(active.get(runId)));
      tellChanged('patch', session);
    };
    const record = await store.setSessionModel(canonical, agentOfSessionKey(canonical), crypto().randomUUID(), ref, clock.now(), told);
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
    await Promise.allSettled([...unwritten.values()].map(({ run: each, end }) => writeAgain(each, end)));
    await ports.tryModel?.stop();
  }

  // ── start ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Closes runs that were running when the last process ended. */
  async function closeCut(runs: readonly ActiveRun[]): Promise<void> {
    if (runs.length === 0) return;
    await store
      .mark(runs.map(({ runId }) => runId))
      // A disk that takes nothing now must not keep the gateway from starting.
      .catch((thrown: unknown) => log.error('runs that the last stop cut could not be marked', { error: messageOf(thrown) }));
    await Promise.all(
      runs.map(async (run) => {
        const { runId, sessionId } = run;
        const entries = recoveryEntries(store.entriesOfRun(sessionId, runId), store.journal(runId), clock.now());
        log.info('a run was cut by the last stop and is marked interrupted', { runId });
        await finish(run, { ...failedOutcome(''), status: 'interrupted', stopReason: 'interrupted', error: INTERRUPTED, entries });
      }),
    );
  }

  /** Held ones are not taken up until somebody says so. */
  function holdDeadly(unfinished: readonly ActiveRun[]): void {
    for (const run of unfinished) {
      if (run.heldAt === undefined) continue;
      log.error('the gateway died over this run again and again; it is set aside', {
        runId: run.runId,
        sessionKey: run.sessionKey,
        retry: `openclaw sessions retry ${run.runId}`,
        drop: `openclaw sessions drop ${run.runId}`,
      });
    }
  }

  const found = store.unfinishedRuns().map((each) => {
    const deaths = each.deaths + (each.isMarked ? 1 : 0);
    const heldAt = each.heldAt ?? (deaths >= MAX_DEATHS ? clock.now() : undefined);
    budget.add((each.head.origin ?? each.run).principalId, each.bytes);
    return { isMarked: each.isMarked, run: activate(each.run, { ...each, deaths, heldAt }) };
  });
  const marked = found.flatMap(({ run: each, isMarked }) => (isMarked ? [each] : []));
  if (marked.length > 0) {
    await store
      .setDeaths(marked)
      .catch((thrown: unknown) => log.error('what the last process died over could not be written', { error: messageOf(thrown) }));
  }
  const unfinished = found.map(({ run: each }) => each);
  holdDeadly(unfinished);
  // Together, in one commit; but each that a process died over alone, so that the next death tells which it is. What waited behind
  // them goes on only when they are closed.
  const cut = unfinished.filter(({ wasCut, heldAt }) => wasCut && heldAt === undefined);
  await closeCut(cut.filter(({ deaths }) => deaths === 0));
  for (const each of cut) if (each.deaths > 0) await closeCut([each]);
  for (const each of unfinished) if (!each.wasCut && each.heldAt === undefined) enqueue(each, providerOfRun(each));
  const named = new Set(unfinished.map(({ file }) => file));
  later(SWEEP_MS, () => void ports.attachments.sweep((name) => named.has(name)));
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
    activeRuns: () => [...active.values()].filter(({ heldAt }) => heldAt === undefined).length,
    heldRuns: () =>
      [...active.values()].flatMap(({ heldAt, runId, sessionKey, agentId, acceptedAt, bytes, wasCut, origin }): HeldRun[] =>
        heldAt === undefined
          ? []
          : [
              {
                runId,
                sessionKey,
                agentId,
                principalId: origin.principalId,
                acceptedAt,
                heldAt,
                bytes,
                during: wasCut ? 'close' : 'begin',
              },
            ],
      ),
    async retryHeld(runId) {
      const held = heldRun(runId);
      if (held === undefined) return false;
      await store.setDeaths([{ runId, deaths: 0, heldAt: undefined }]);
      // Twice in the same moment is once.
      if (held.heldAt === undefined) return false;
      held.heldAt = undefined;
      held.deaths = 0;
      if (held.wasCut) await closeCut([held]);
      else enqueue(held, providerOfRun(held));
      return true;
    },
    async dropHeld(runId) {
      const held = heldRun(runId);
      if (held === undefined) return false;
      await stopAll([held], 'rpc');
      return true;
    },
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
