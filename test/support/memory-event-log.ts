import type { EventLog, LogEntry, ToldEntry } from '../../src/store/event-log.ts';

/** A unit of work on an array: what `work` did before it threw is undone. */
export interface MemoryUnit {
  readonly undo: (() => void)[];
  readonly after: (() => void)[];
}

/** The log as plainly as it can be said: an array, and the last number of each topic. */
export function memoryEventLog(): { readonly log: EventLog<MemoryUnit>; write<T>(work: (unit: MemoryUnit) => T): Promise<T> } {
  const rows: (LogEntry & { readonly topic: string })[] = [];
  const topics = new Map<string, { epoch: string; seq: number }>();
  const listeners = new Set<(entry: ToldEntry) => void>();
  let rowId = 0;
  let epochs = 0;
  const log: EventLog<MemoryUnit> = {
    append(unit, topic, kind, payload, at) {
      const head = topics.get(topic) ?? { epoch: `e${++epochs}`, seq: 0 };
      const isNew = !topics.has(topic);
      topics.set(topic, head);
      const row = { topic, rowId: ++rowId, seq: ++head.seq, kind, at, payload };
      rows.push(row);
      unit.undo.push(() => {
        rows.splice(rows.indexOf(row), 1);
        head.seq--;
        rowId--;
        if (isNew) topics.delete(topic);
      });
      const { epoch } = head;
      unit.after.push(() => {
        for (const listener of listeners) listener({ ...row, epoch });
      });
      return { rowId: row.rowId, epoch, seq: row.seq };
    },
    read: (topic, afterSeq, limit) =>
      rows
        .filter((row) => row.topic === topic && row.seq > afterSeq)
        .slice(0, limit)
        .map(({ topic: _, ...entry }) => entry),
    head(topic) {
      const head = topics.get(topic);
      return head && { ...head, first: rows.find((row) => row.topic === topic)?.seq ?? head.seq + 1 };
    },
    tail(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    trim(_, { before, keep, limit }) {
      const kept = rows.slice(0, limit).findIndex((row) => row.at >= before && row.rowId > (rows.at(-1)?.rowId ?? 0) - keep);
      return rows.splice(0, kept === -1 ? limit : kept).length;
    },
    renewEpochs() {
      for (const head of topics.values()) head.epoch = `e${++epochs}`;
    },
  };
  return {
    log,
    async write(work) {
      const unit: MemoryUnit = { undo: [], after: [] };
      try {
        const value = work(unit);
        for (const task of unit.after) task();
        return value;
      } catch (thrown) {
        for (const task of unit.undo.reverse()) task();
        throw thrown;
      }
    },
  };
}
