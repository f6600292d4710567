import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Attachment, RunError, SessionQuery, TranscriptEntry, TranscriptMessage, TurnOrigin, TurnRequest, Usage } from './api.ts';

/** Everything the resident agent needs from the outside. Wired in the composition root. */
export interface AgentPorts {
  readonly store: AgentStore;
  readonly attachments: AttachmentStore;
  readonly config: AgentConfigSource;
  readonly clock: Clock;
  readonly log: Log;
  /** All HTTP to model servers goes through this. */
  readonly fetch: Fetch;
  /** The small local model of `openclaw models try`; absent where it cannot run. */
  readonly tryModel?: TryModel;
  /** What the guide may tell about this gateway. */
  readonly here: () => Here;
  /** Whether the small local model could be installed, for the guide: `text` is a version, or why not. */
  readonly python: () => Promise<{ readonly found: boolean; readonly text: string }>;
}

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Plain facts about this gateway, for the guide's answers. */
export interface Here {
  readonly port: number;
  readonly user: string;
  readonly host: string;
  /** The directory with the project's own documents (`*.md`). */
  readonly docsDir: string;
}

/** A model server that this gateway runs itself. `serve` starts it when it does not run. */
export interface TryModel {
  readonly id: string;
  readonly contextWindow: number;
  installed(): boolean;
  /** Resolves when it answers. Rejects with a `UserError` that names the fix. */
  serve(signal: AbortSignal): Promise<{ readonly baseUrl: string; readonly apiKey: string }>;
  /** Call when an answer has ended: the idle clock starts. */
  release(): void;
  stop(): Promise<void>;
}

export interface AgentConfigSource {
  current(): AgentConfig;
}

/** The agent's slice of the configuration: plain, complete, immutable. `config.ts` makes it from the file's own shape. */
export interface AgentConfig {
  readonly defaultAgentId: string;
  /** At least one. */
  readonly agents: readonly AgentEntry[];
  readonly providers: readonly ProviderEntry[];
  /** Names of the variables of the environment that hold a provider key. */
  readonly keyNames: readonly string[];
  /** Not empty: only these `provider/model` may be chosen. */
  readonly allowedModels: readonly string[];
  /** Short names of models. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Model servers on this machine that are looked for. Empty: nothing is probed. */
  readonly localServers: readonly LocalServerSpec[];
  readonly limits: AgentLimits;
  readonly timeouts: AgentTimeouts;
}
export interface AgentEntry {
  readonly id: string;
  readonly name: string;
  readonly emoji?: string;
  readonly avatar?: string;
  /** Absolute. Made (0700) at the first run. */
  readonly workspace: string;
  /** Directories and files that its tools never touch, even when they lie inside the workspace. Absolute. */
  readonly protectedPaths: readonly string[];
  readonly model: ModelChoice;
  readonly tools: ToolPolicy;
}
export interface ModelChoice {
  readonly primary?: string;
  readonly fallbacks: readonly string[];
}
export type ProviderApi = 'openai-completions' | 'openai-responses' | 'anthropic-messages';
export interface ProviderEntry {
  readonly id: string;
  readonly source: 'config' | 'env';
  /** As the file says it; one that is not spoken here fails when it is used, with its name. */
  readonly api: ProviderApi | { readonly unsupported: string };
  readonly baseUrl: string;
  readonly apiKey?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly models: readonly ModelEntry[];
}
export interface ModelEntry {
  readonly id: string;
  readonly name: string;
  readonly reasoning: boolean;
  readonly input: readonly ('text' | 'image')[];
  readonly contextWindow?: number;
  readonly maxTokens?: number;
}
export interface LocalServerSpec {
  readonly kind: 'ollama' | 'lmstudio' | 'llamacpp';
  /** `http://127.0.0.1:11434` */
  readonly url: string;
}
export interface ToolPolicy {
  readonly profile?: 'minimal' | 'coding' | 'messaging' | 'full';
  /** Absent: all of the profile. Empty: none. */
  readonly allow?: readonly string[];
  readonly alsoAllow?: readonly string[];
  readonly deny: readonly string[];
}
export interface AgentLimits {
  /** Runs at a time with one provider. */
  readonly maxConcurrent: number;
  /** Waiting runs of one session. */
  readonly queueCap: number;
  /** Model calls in one run. */
  readonly maxSteps: number;
  /** How long a session that was made without a name is kept after its answer, ms. */
  readonly keepUnnamedMs: number;
}
/** Milliseconds. */
export interface AgentTimeouts {
  readonly run: number;
  /** From the request to the provider's first byte of answer; large prompts take long on small machines. */
  readonly firstPart: number;
  /** Between two parts of a stream. */
  readonly idle: number;
}

// ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────

export type StoredStatus = 'queued' | 'running' | 'ok' | 'error' | 'aborted' | 'interrupted';

export interface RunRecord {
  readonly runId: string;
  readonly sessionKey: string;
  readonly sessionId: string;
  readonly agentId: string;
  readonly principalId: string;
  readonly status: StoredStatus;
  readonly acceptedAt: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly provider?: string;
  readonly model?: string;
  readonly stopReason?: string;
  readonly usage?: Usage;
  readonly error?: RunError;
  /** Of session and content: tells a repeat from another message under the same id. */
  readonly digest: string;
}

export interface SessionRecord {
  readonly key: string;
  readonly sessionId: string;
  readonly agentId: string;
  readonly label?: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** `provider/id`, when one was chosen for the session. */
  readonly model?: string;
  readonly usage: Usage;
  /** Tokens that the prompt of the latest model call took: how full the context is. Unknown before the first, and after a reset. */
  readonly contextUsed?: number;
  /** How the last run ended. */
  readonly lastStatus: 'idle' | 'done' | 'failed' | 'killed';
  readonly title?: string;
  readonly preview?: string;
  readonly channel: string;
}

/** An attachment whose content lies in the file of its run. */
export interface KeptAttachment {
  readonly mimeType: string;
  readonly fileName?: string;
  /** Of the content. */
  readonly bytes: number;
  /** Of its base64 text, in the file behind that of the one before it. */
  readonly chars: number;
}
/** As earlier versions kept it: the content itself lies in the file. */
export type RawAttachment = Omit<KeptAttachment, 'chars'>;
/** A request as the database keeps it. The earliest versions kept attachments with their content. */
export type KeptRequest =
  | (Omit<TurnRequest, 'attachments'> & { readonly attachments?: readonly (KeptAttachment | RawAttachment | Attachment)[] })
  /** A large one lies in the file behind its attachments: so many bytes of JSON. */
  | { readonly spilled: number; readonly attachments?: readonly (KeptAttachment | RawAttachment)[] };

/** A request whose turn has come: its attachments are on disk and stay there, however long it runs. */
export interface LoadedRequest extends Omit<TurnRequest, 'attachments'> {
  readonly attachments?: readonly { readonly mimeType: string; readonly fileName?: string; readonly base64: Blob }[];
}

/** What has to be known of a run while it waits. `origin` is not known of runs that an earlier version took. */
export interface RunHead {
  readonly origin?: TurnOrigin;
  /** The model that the request names. */
  readonly model?: string;
}

export interface UnfinishedRun {
  readonly run: RunRecord;
  readonly head: RunHead;
  /** Of the request and its attachments, on disk. */
  readonly bytes: number;
  /** Name of the file with its attachments, or with all of it. */
  readonly file?: string;
  /** It was being taken up, or closed after a crash, when the process ended. */
  readonly isMarked: boolean;
  /** Starts that found it marked. */
  readonly deaths: number;
  /** When it was set aside, ms since 1970. */
  readonly heldAt?: number;
}

export interface NewRun {
  readonly request: Omit<TurnRequest, 'attachments'> & { readonly attachments?: readonly KeptAttachment[] };
  /** Bytes of the request's JSON in the file; undefined: it goes into the database. */
  readonly spilled?: number;
  /** Bytes on disk, for `UnfinishedRun`. */
  readonly bytes: number;
  readonly file?: string;
  readonly agentId: string;
  readonly digest: string;
  readonly at: number;
  readonly entryId: string;
  /** Used when the session does not exist yet. */
  readonly newSessionId: string;
  readonly title: string;
  readonly preview: string;
}
export type Accepted =
  | {
      readonly kind: 'new';
      readonly run: RunRecord;
      readonly entry: TranscriptEntry;
      readonly session: SessionRecord;
      readonly created: boolean;
    }
  /** A run of that id exists; nothing was written. */
  | { readonly kind: 'known'; readonly run: RunRecord };

export interface NewEntry {
  readonly id: string;
  readonly at: number;
  readonly message: TranscriptMessage;
}
export interface RunEnd {
  readonly runId: string;
  readonly status: 'ok' | 'error' | 'aborted' | 'interrupted';
  readonly at: number;
  readonly stopReason?: string;
  readonly usage: Usage;
  /** Prompt tokens of its last model call; undefined: none answered. */
  readonly contextUsed?: number;
  readonly error?: RunError;
  readonly provider?: string;
  readonly model?: string;
  readonly entries: readonly NewEntry[];
  readonly preview?: string;
}
export interface Written {
  readonly entries: readonly TranscriptEntry[];
  readonly session: SessionRecord;
}

/** What a run that goes on has written. */
export interface RunWritten extends Written {
  readonly run: string;
}

export interface EntryQuery {
  readonly limit: number;
  readonly offset?: number;
  readonly beforeSeq?: number;
  /** Bytes as stored: reading goes backwards until the next message would not fit, and gives at least one. */
  readonly maxBytes?: number;
  /** Bytes as stored: of a larger message only its ends are read, and its entry says `isCut`. */
  readonly wholeUpTo?: number;
}
export interface EntryPage {
  readonly entries: readonly TranscriptEntry[];
  readonly total: number;
  /** Of these entries, as stored. */
  readonly bytes: number;
}

/**
 * Sessions, runs and transcripts. Reads are synchronous and cheap whatever the size of a session. Every write resolves
 * after it is durable, in the order of the calls, and also appends to the event log in the same transaction.
 */
export interface AgentStore {
  run(runId: string): RunRecord | undefined;
  /** The assistant's text of a run, as far as it is in the transcript. */
  runText(runId: string): string;
  /** `queued` and `running`, in order of acceptance; ids and sizes, whatever their requests hold. */
  unfinishedRuns(): readonly UnfinishedRun[];
  /** What was asked, of a run that has not ended. */
  request(runId: string): KeptRequest | undefined;
  /** Partial text of a run that has not ended. */
  journal(runId: string): string;
  session(key: string): SessionRecord | undefined;
  sessions(query: SessionQuery & { readonly activeSince?: number }): {
    readonly total: number;
    readonly sessions: readonly SessionRecord[];
  };
  /** The key of the session that has, or had, this id; or of the one with this label. */
  keyOfSessionId(sessionId: string): string | undefined;
  keyOfLabel(label: string): string | undefined;
  /** A page of a transcript, oldest first. `offset` skips the newest; `beforeSeq` takes only older ones. */
  entries(sessionId: string, query: EntryQuery): EntryPage;
  /** Entries that one run has written, oldest first. */
  entriesOfRun(sessionId: string, runId: string): readonly TranscriptEntry[];

  // `told` is called when the disk has it, in the order of the log over all writes, and before the promise resolves; not when nothing was written.

  /** Run row and user message in one write; makes the session where there is none. */
  accept(run: NewRun, told: (accepted: Accepted & { readonly kind: 'new' }) => void): Promise<Accepted>;
  /** These are being taken up (or, after a crash, closed) from here on. */
  mark(runIds: readonly string[]): Promise<void>;
  /** What starts that found a mark mean: the mark goes, the count and perhaps the time since when it is held stay. */
  setDeaths(runs: readonly { readonly runId: string; readonly deaths: number; readonly heldAt: number | undefined }[]): Promise<void>;
  /** It runs from here on; its mark goes with the same commit. */
  markRunning(runId: string, at: number): Promise<void>;
  appendJournal(runId: string, text: string): Promise<void>;
  /** A replaced attempt: its partial text goes. */
  clearJournal(runId: string): Promise<void>;
  /** Entries of a run that goes on (a finished model step, a tool result). The journal of the step goes with it. */
  appendStep(runId: string, entries: readonly NewEntry[], at: number, told: (written: Written) => void): Promise<Written>;
  finish(end: RunEnd, told: (written: Written) => void): Promise<Written>;
  resetSession(
    key: string,
    agentId: string,
    newSessionId: string,
    at: number,
    told: (session: SessionRecord) => void,
  ): Promise<SessionRecord>;
  setSessionModel(
    key: string,
    agentId: string,
    newSessionId: string,
    model: string | null,
    at: number,
    told: (session: SessionRecord) => void,
  ): Promise<SessionRecord>;
  /**
   * Deletes sessions that were made without a name and whose answer ended at `endedBefore` (ms) or earlier, with all that is kept
   * of them: a bounded part per call. `more`: something is left to delete.
   */
  sweepUnnamed(endedBefore: number): Promise<{ readonly gone: readonly SessionRecord[]; readonly more: boolean }>;
}

/** Attachments and large requests while their run has not ended: one private file a run, which neither the loop nor the database carries. */
export interface AttachmentStore {
  /** Writes a new file and resolves with its name once it is durable. Rejects, with nothing left behind, when `chunks` throws or the disk does. */
  write(chunks: AsyncIterable<Uint8Array>): Promise<string>;
  /** The file, nothing of it in memory. Rejects when it is not there or has not as many bytes. */
  open(name: string, bytes: number): Promise<Blob>;
  /** Never rejects; what stays behind goes with the next `sweep`. */
  remove(name: string): Promise<void>;
  /** Removes what no run names, one after the other; the number of files removed. Never rejects. */
  sweep(isNamed: (name: string) => boolean): Promise<number>;
}

export type { Clock, Log };
