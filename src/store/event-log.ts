/** Where an event stands: `rowId` in the whole log, `seq` (dense from 1) in its topic, `epoch` of that topic. */
export interface LogPosition {
  readonly rowId: number;
  readonly epoch: string;
  readonly seq: number;
}
export interface LogEntry {
  readonly rowId: number;
  readonly seq: number;
  readonly kind: string;
  /** Wall clock, ms. */
  readonly at: number;
  /** JSON text, byte for byte as it was appended: a broadcast splices it, a reader parses it. */
  readonly payload: string;
}
export interface ToldEntry extends LogEntry {
  readonly topic: string;
  readonly epoch: string;
}
export interface TopicHead {
  readonly epoch: string;
  /** The last number that was given out. */
  readonly seq: number;
  /** The first that is still there; `seq + 1` where none is. A cursor before `first - 1` cannot be resumed. */
  readonly first: number;
}

/** What goes from the log, oldest first. */
export interface Trimming {
  /** Appended before this, ms since 1970. */
  readonly before: number;
  /** Beyond so many of the newest, over all topics. */
  readonly keep: number;
  /** At most so many in this step. */
  readonly limit: number;
}

/**
 * The append-only log. `Unit` is a unit of work of the store behind it: what is appended in one is there together with all else that it
 * writes, or not at all. Ports of other rooms name the part of it they need.
 */
export interface EventLog<Unit> {
  /** Durable, and its number final, when the unit of work is. `payload` is JSON text. */
  append(unit: Unit, topic: string, kind: string, payload: string, at: number): LogPosition;
  /** Events after `afterSeq`, oldest first, at most `limit`. Cost: what is returned, however long the topic is. */
  read(topic: string, afterSeq: number, limit: number): readonly LogEntry[];
  /** Undefined before the topic's first event. */
  head(topic: string): TopicHead | undefined;
  /** Every event from here on when it is durable, in the order of the log. The listener must not throw. Call what it gives to stop. */
  tail(listener: (entry: ToldEntry) => void): () => void;
  /** One step of forgetting; the number of events that went. Numbers never come back, and heads stay. */
  trim(unit: Unit, what: Trimming): number;
  /**
   * Gives every topic a new epoch. For after a restore: numbers that clients saw before may now stand for other events,
   * so that a cursor of the old epoch must not be resumed.
   */
  renewEpochs(unit: Unit): void;
}
