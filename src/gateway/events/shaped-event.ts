import type { RunEvent } from '../../agent/api.ts';
import type { JsonObject } from '../../lib/json.ts';
import { isRecord } from '../../lib/json.ts';

/** One event of a run as it travels on one protocol. The payload is shared by all receivers: never change it. */
export interface ShapedEvent {
  readonly event: 'agent' | 'chat';
  readonly payload: JsonObject;
  /**
   * `operators`: every operator who may read. `tool-origin`: only the connection that started the run, and only with the
   * capability `tool-events`.
   */
  readonly audience: 'operators' | 'tool-origin';
  /** For a slow reader it may wait, be joined with the next of its `coalesce` key, and be left out once the run's ending follows, which says it all. */
  readonly droppable: boolean;
  /** Events of one connection with the same key may be joined by `joinDeltas` while they wait to be written. Set on all droppable ones. */
  readonly coalesce?: string;
}

/** A state machine for one run and one protocol: feed it everything, in order. Pure: time is the events' own `ts`. */
export interface RunShape {
  /** `isBehind`: whatever can wait for the next event should. */
  feed(event: RunEvent, isBehind?: boolean): readonly ShapedEvent[];
}

/**
 * Joins two waiting payloads of one `coalesce` key into the later one. Texts are cumulative, so the later one already says everything;
 * only what is counted from the previous frame (`deltaText` of chat, `data.delta` of agent) has to be added up. A frame that says
 * `replace` makes all before it worthless, and a joined one keeps saying so.
 */
export function joinDeltas(earlier: JsonObject, later: JsonObject): JsonObject {
  if (later['replace'] === true) return later;
  if (typeof later['deltaText'] === 'string') {
    const joined = { ...later, deltaText: `${text(earlier['deltaText'])}${later['deltaText']}` };
    return earlier['replace'] === true ? { ...joined, replace: true } : joined;
  }
  const data = later['data'];
  if (!isRecord(data) || typeof data['delta'] !== 'string' || data['replace'] === true) return later;
  const before = isRecord(earlier['data']) ? earlier['data'] : {};
  const delta = `${text(before['delta'])}${data['delta']}`;
  return { ...later, data: { ...(data as JsonObject), delta, ...(before['replace'] === true ? { replace: true } : {}) } };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
