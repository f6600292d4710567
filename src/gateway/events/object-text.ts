import type { JsonObject } from '../../lib/json.ts';

/** One object of three: the middle one's values are JSON text already. Large texts are joined, not made anew. */
export function objectText(before: JsonObject, texts: Readonly<Record<string, string>>, after: JsonObject): string {
  const middle = Object.entries(texts).map(([key, json]) => `${JSON.stringify(key)}:${json}`);
  const inner = (object: JsonObject): string[] => (Object.keys(object).length === 0 ? [] : [JSON.stringify(object).slice(1, -1)]);
  return `{${[...inner(before), ...middle, ...inner(after)].join(',')}}`;
}
