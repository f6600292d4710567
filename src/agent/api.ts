import type { Cancel } from '../lib/clock.ts';
import type { Json } from '../lib/json.ts';
import type { WireError } from '../protocol/errors.ts';

/** What the resident agent offers to the gateway. All of it speaks in the agent's own terms; wire shapes are the gateway's. */
export interface Agent {
  /**
   * Queues a turn. Resolves once it is durable. The same `runId` with the same text is the same run, whoever repeats it and whenever. `onTaken` is called
   * for a new one when it is durable, before anything is told of it.
   */
  send(request: TurnRequest, onTaken?: () => void): Promise<SendOutcome>;
  /** Stops runs of a session, queued ones too; the partial text stays in the transcript. Without `runId`: all that `mayAbort` allows. */
  abort(request: AbortRequest): Promise<AbortOutcome>;
  /** Resolves when the run has ended or `timeoutMs` has passed, whichever comes first. */
  wait(runId: string, timeoutMs: number): Promise<RunView | undefined>;
  run(runId: string): RunView | undefined;

  sessions(query: SessionQuery): SessionPage;
  session(key: string): SessionView | undefined;
  /** A key, a session id or a label, to the canonical key of an existing session. */
  resolveSession(by: { key?: string; sessionId?: string; label?: string }): string | undefined;
  /** A page from the newest backwards; bounds of bytes as `EntryQuery` has them. `sessionId` of an earlier page: the next one is of the same, whatever happened meanwhile. */
  transcript(sessionKey: string, query: TranscriptQuery): TranscriptPage;
  /** New session id under the same key; the old transcript stays readable by its id. Running turns are aborted first. */
  resetSession(key: string, reason: 'new' | 'reset'): Promise<SessionView>;
  /** Sets a session's model (`provider/id`, or null for the default) after checking that it exists. */
  setSessionModel(key: string, model: string | null): Promise<SessionView | WireError>;

  agents(): readonly AgentView[];
  /** What can be talked to now. Never blocks on a network: discovered local servers appear when they have been seen. */
  models(): readonly ModelView[];
  /** Looks again for local model servers (bounded), then answers like `models`. */
  refreshModels(): Promise<readonly ModelView[]>;
  /** The model a new turn would use; undefined: nothing is connected and `builtin/guide` would answer. */
  defaultModel(): ModelView | undefined;

  onRunEvent(listener: (event: RunEvent) => void): Cancel;
  onSessionEvent(listener: (event: SessionEvent) => void): Cancel;
  /** Running and waiting ones, without those that are held. */
  activeRuns(): number;
  /** Runs over which the process died again and again: they are not taken up by themselves. */
  heldRuns(): readonly HeldRun[];
  /** Takes a held run up as if nothing had happened; false: it is not held. */
  retryHeld(runId: string): Promise<boolean>;
  /** Ends a held run as aborted, durable on return, without looking at what it holds; false: it is not held. */
  dropHeld(runId: string): Promise<boolean>;
  /** Turns begin from here on, those that an earlier life left waiting first. Once, when the gateway can be reached. */
  resume(): void;
  /** Stops taking turns, lets running ones finish until `deadlineMs` has passed, then marks them interrupted. Durable on return. */
  drain(deadlineMs: number): Promise<void>;
}

export const BUILTIN_PROVIDER = 'builtin';
export const BUILTIN_MODEL = 'guide';

export type ThinkingLevel = 'off' | 'minimal' | 'low' | 'medium' | 'high';

export interface TurnOrigin {
  /** Who the door admitted: stable across reconnects (device id, or the credential's class). */
  readonly principalId: string;
  /** The connection that asked; `tool` events go to it alone. */
  readonly connId?: string;
  readonly clientId?: string;
  readonly clientMode?: string;
  /** Name shown beside the message. */
  readonly label?: string;
  readonly via: 'chat' | 'agent' | 'http';
}

export interface Attachment {
  readonly mimeType: string;
  readonly fileName?: string;
  /** base64 */
  readonly content: string;
}

export interface TurnRequest {
  readonly runId: string;
  /** Canonical: `agent:<agentId>:<rest>`. */
  readonly sessionKey: string;
  readonly message: string;
  readonly attachments?: readonly Attachment[];
  readonly origin: TurnOrigin;
  readonly thinking?: ThinkingLevel;
  readonly timeoutMs?: number;
  /** `provider/id`; otherwise the session's, else the agent's. */
  readonly model?: string;
  readonly extraSystemPrompt?: string;
  /** The session is made for this run alone, and nobody was given its name: it ends with the answer and is kept for a while. */
  readonly isOneOff?: boolean;
  /** Earlier turns that a stateless HTTP caller brought along; used for this run, before its message. */
  readonly context?: readonly { readonly role: 'user' | 'assistant'; readonly text: string }[];
  readonly sampling?: {
    readonly temperature?: number;
    readonly topP?: number;
    readonly maxOutputTokens?: number;
    readonly stop?: readonly string[];
  };
}

export type SendOutcome =
  | { readonly status: 'started' | 'in_flight'; readonly runId: string }
  /** The run had ended before this repeat came. */
  | { readonly status: 'ended'; readonly runId: string; readonly run: RunView }
  | { readonly status: 'refused'; readonly error: WireError };

export interface AbortRequest {
  readonly sessionKey: string;
  readonly runId?: string;
  readonly reason: 'rpc' | 'stop' | 'disconnect' | 'timeout';
  /** Which runs this caller may stop; the owner: all. */
  readonly mayAbort: (run: { readonly runId: string; readonly principalId: string }) => boolean;
}
export type AbortOutcome = { readonly ok: true; readonly runIds: readonly string[] } | { readonly ok: false; readonly error: WireError };

export interface HeldRun {
  readonly runId: string;
  readonly sessionKey: string;
  readonly agentId: string;
  readonly principalId: string;
  readonly acceptedAt: number;
  readonly heldAt: number;
  /** Of the request with its attachments. */
  readonly bytes: number;
  /** Where the process died: when the run was begun, or when it was closed after a crash. */
  readonly during: 'begin' | 'close';
}

export type RunStatus = 'queued' | 'running' | 'ok' | 'error' | 'aborted' | 'interrupted';
export interface RunView {
  readonly runId: string;
  readonly sessionKey: string;
  readonly sessionId: string;
  readonly agentId: string;
  readonly principalId: string;
  readonly status: RunStatus;
  readonly acceptedAt: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly provider?: string;
  readonly model?: string;
  /** Final or partial answer text. */
  readonly text: string;
  readonly stopReason?: string;
  readonly usage?: Usage;
  readonly error?: RunError;
}

/** A failed run in words a person can act on. */
export interface RunError {
  readonly kind:
    | 'auth'
    | 'rate-limit'
    | 'billing'
    | 'context-too-small'
    | 'bad-request'
    | 'unreachable'
    | 'cut'
    | 'malformed'
    | 'timeout'
    | 'provider'
    | 'interrupted'
    | 'internal';
  readonly message: string;
  readonly fix?: string;
  readonly status?: number;
  readonly provider?: string;
  readonly model?: string;
}

export interface Usage {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly total: number;
}

export type AssistantPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'thinking'; readonly thinking: string }
  | { readonly type: 'toolCall'; readonly id: string; readonly name: string; readonly arguments: Json };

export type TranscriptMessage =
  | {
      readonly role: 'user';
      readonly text: string;
      readonly senderLabel?: string;
      readonly attachments?: readonly { mimeType: string; fileName?: string; bytes: number }[];
    }
  | {
      readonly role: 'assistant';
      readonly content: readonly AssistantPart[];
      readonly provider: string;
      readonly model: string;
      readonly api: string;
      readonly usage: Usage;
      readonly stopReason: 'stop' | 'toolUse' | 'error' | 'aborted' | 'interrupted';
      readonly errorMessage?: string;
    }
  | {
      readonly role: 'toolResult';
      readonly toolCallId: string;
      readonly toolName: string;
      readonly text: string;
      readonly isError: boolean;
    };

export interface TranscriptEntry {
  readonly id: string;
  /** Dense within the session id, from 1. */
  readonly seq: number;
  readonly at: number;
  readonly runId?: string;
  readonly message: TranscriptMessage;
  /** Only the beginning of the message was read. */
  readonly isCut?: true;
}
export interface TranscriptQuery {
  readonly limit: number;
  readonly offset?: number;
  readonly beforeSeq?: number;
  readonly maxBytes?: number;
  readonly wholeUpTo?: number;
  readonly sessionId?: string;
}
export interface TranscriptPage {
  readonly sessionKey: string;
  readonly sessionId?: string;
  /** Oldest first. */
  readonly entries: readonly TranscriptEntry[];
  readonly total: number;
  readonly hasMore: boolean;
  /** Of these entries, as stored. */
  readonly bytes: number;
}

export interface SessionQuery {
  readonly limit?: number;
  readonly offset?: number;
  readonly agentId?: string;
  readonly activeMinutes?: number;
  readonly search?: string;
  readonly label?: string;
}
export interface SessionPage {
  readonly total: number;
  readonly sessions: readonly SessionView[];
}
export interface SessionView {
  readonly key: string;
  readonly sessionId: string;
  readonly agentId: string;
  readonly label?: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly model?: { readonly provider: string; readonly id: string };
  /** Of all its runs together. */
  readonly usage: Usage;
  /** How much of the context the latest model call used, tokens. */
  readonly contextUsed: number | undefined;
  /** The context of its model, tokens. */
  readonly contextTokens: number | undefined;
  readonly status: 'idle' | 'running' | 'failed' | 'killed' | 'done';
  readonly activeRunIds: readonly string[];
  readonly abortedLastRun: boolean;
  readonly derivedTitle?: string;
  readonly lastMessagePreview?: string;
  readonly channel: string;
}

export interface AgentView {
  readonly id: string;
  readonly name: string;
  readonly emoji?: string;
  readonly avatar?: string;
  readonly workspace: string;
  readonly isDefault: boolean;
}

export interface ModelView {
  readonly provider: string;
  readonly id: string;
  readonly name: string;
  readonly contextWindow?: number;
  readonly reasoning: boolean;
  readonly input: readonly ('text' | 'image')[];
  readonly source: 'config' | 'env' | 'local-server' | 'local-child' | 'builtin';
}

/** Everything a run does, in order. `seq` is the run's own, dense, from 1. */
export type RunEvent = {
  readonly runId: string;
  readonly sessionKey: string;
  readonly sessionId: string;
  readonly agentId: string;
  readonly origin: TurnOrigin;
  readonly seq: number;
  readonly ts: number;
} & RunEventBody;
export type RunEventBody =
  | { readonly type: 'phase'; readonly phase: 'preparing_workspace' | 'preparing_context' | 'starting_model' }
  | { readonly type: 'start'; readonly startedAt: number }
  | { readonly type: 'model'; readonly provider: string; readonly model: string }
  /** `text` is cumulative over the run's visible answer, `delta` what was added. */
  | { readonly type: 'text'; readonly delta: string; readonly text: string; readonly itemId: string }
  /** Throw away what was shown: the provider failed mid-answer and is asked again. */
  | { readonly type: 'replace'; readonly itemId: string }
  | { readonly type: 'thinking'; readonly delta: string; readonly text: string }
  | {
      readonly type: 'retrying';
      readonly attempt: number;
      readonly maxRetries: number;
      readonly delayMs: number;
      readonly message: string;
      readonly reason: string;
    }
  | { readonly type: 'tool-start'; readonly toolCallId: string; readonly name: string; readonly args: Json; readonly title: string }
  | {
      readonly type: 'tool-end';
      readonly toolCallId: string;
      readonly name: string;
      readonly isError: boolean;
      readonly text: string;
      readonly meta: string;
      readonly title: string;
      readonly startedAt: number;
    }
  | { readonly type: 'usage'; readonly outputTokens: number }
  | {
      readonly type: 'end';
      readonly outcome: 'ok';
      readonly startedAt: number;
      readonly endedAt: number;
      readonly text: string;
      readonly stopReason: string;
      readonly usage: Usage;
      readonly provider: string;
      readonly model: string;
      readonly toolNames: readonly string[];
    }
  | {
      readonly type: 'end';
      readonly outcome: 'aborted';
      readonly startedAt?: number;
      readonly endedAt: number;
      readonly text: string;
      readonly stopReason: 'rpc' | 'stop' | 'disconnect' | 'timeout';
    }
  | {
      readonly type: 'end';
      readonly outcome: 'error' | 'interrupted';
      readonly startedAt?: number;
      readonly endedAt: number;
      readonly text: string;
      readonly error: RunError;
    };

export type SessionEvent =
  | {
      readonly type: 'changed';
      readonly reason: 'send' | 'create' | 'patch' | 'reset' | 'end' | 'delete';
      readonly session: SessionView;
      readonly ts: number;
    }
  /** Durable already. */
  | { readonly type: 'message'; readonly session: SessionView; readonly entry: TranscriptEntry };
