import type { Value } from './recording.ts';

/**
 * Compares shapes: every key of a recorded value has to be in ours, with the same type. More keys of ours are fine (existing clients
 * ignore what they do not know); other values are fine. A difference is one line: `missing tokens[].scopes`, `string instead of number at ts`.
 */
export function shapeDifferences(recorded: Value, ours: Value, path = ''): string[] {
  const want = typeOf(recorded);
  if (want === undefined) return [];
  if (typeof want === 'object') {
    if (kind(ours) !== 'object') return [differs(path, 'object', ours)];
    return want.keys.filter((key) => !Object.hasOwn(ours, key)).map((key) => `missing ${join(path, key)}`);
  }
  if (kind(ours) !== want) return [differs(path, want, ours)];
  if (Array.isArray(recorded)) {
    const items = recorded.filter((item) => !isMark(item));
    return unique((ours as Value[]).flatMap((item) => itemDifferences(items, item, `${path}[]`)));
  }
  if (!isPlain(recorded)) return [];
  return Object.entries(recorded).flatMap(([key, value]) => {
    if (key === '…') return [];
    return Object.hasOwn(ours, key) ? shapeDifferences(value, ours[key], join(path, key)) : [`missing ${join(path, key)}`];
  });
}

/** An item is compared with the recorded ones of its sort; where several were recorded, only what all of them have is asked for. */
function itemDifferences(recorded: readonly Value[], ours: Value, path: string): string[] {
  const same = recorded.filter((item) => sortOf(item) === sortOf(ours));
  const [first] = same;
  // Of a sort that was never recorded in this place: nothing is known about it.
  if (first === undefined) return recorded.length === 0 || sortOf(ours) !== '' ? [] : [differs(path, kind(recorded[0]), ours)];
  return shapeDifferences(same.every(isPlain) ? common(same) : first, ours, path);
}

/** Messages differ by role, their parts by type. */
function sortOf(item: Value): string {
  if (!isPlain(item)) return '';
  const { role, type, openclawAbort, stopReason } = item;
  if (typeof role === 'string') return `${role}${openclawAbort ? ' aborted' : ''}${stopReason === 'error' ? ' failed' : ''}`;
  return typeof type === 'string' ? type : '';
}

const isPlain = (value: Value): boolean => value !== null && typeof value === 'object' && !Array.isArray(value);
const isMark = (item: Value): boolean => typeof item === 'string' && /^(…|<cut )/.test(item);
const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);
const unique = (lines: string[]): string[] => [...new Set(lines)];
const differs = (path: string, want: string, ours: Value): string =>
  `${String(kind(ours))} instead of ${want} at ${path === '' ? 'root' : path}`;
const kind = (value: Value): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);

function common(items: readonly Value[]): Value {
  const [first, ...rest] = items;
  return Object.fromEntries(Object.entries(first).filter(([key]) => rest.every((item) => Object.hasOwn(item, key))));
}

/** Marks of the sanitiser that hide an object or say nothing about a type. */
const UNKNOWN =
  /^<(agentRuntime|eventLoop|contextBudgetStatus|systemPromptReport|skillsSnapshot|controlUiWidgetKinds|controlUiLinkReaders|port|pid|same shape.*|session row.*|\d+ names.*)>$/;

/** The type that a recorded value asks for; undefined: anything. A `<cut …: keys>` names the keys of an object. */
function typeOf(value: Value): string | { keys: readonly string[] } | undefined {
  if (value === null) return undefined;
  if (typeof value !== 'string') return kind(value);
  if (/^T[+-]\d+$/.test(value)) return 'number';
  const cut = /^<cut \d+ chars(?:: (.*))?>$/.exec(value);
  if (cut !== null) return cut[1] === undefined ? undefined : { keys: cut[1].split(',') };
  return UNKNOWN.test(value) ? undefined : 'string';
}
