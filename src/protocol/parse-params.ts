import * as z from 'zod/mini';
import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { Schema } from './define.ts';

/**
 * Checks `value` against `schema`: the parsed value, or one line that says where and what, e.g. `at /limit: must be a number` or
 * `at /client: must have required property 'version'` (words that existing clients know). Never throws. Unknown keys are dropped.
 */
export function parseParams<T>(schema: Schema<T>, value: unknown): Result<T, string> {
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0];
  return err(issue === undefined ? 'invalid value' : inWords(issue, value));
}

function inWords(issue: z.core.$ZodIssue, value: unknown): string {
  const key = issue.path.at(-1);
  const parent = key === undefined ? undefined : valueAt(value, issue.path.slice(0, -1));
  if (key !== undefined && isRecord(parent) && !Object.hasOwn(parent, String(key))) {
    const where = issue.path.length === 1 ? '' : `at ${pointer(issue.path.slice(0, -1))}: `;
    return `${where}must have required property '${String(key)}'`;
  }
  return key === undefined ? rule(issue) : `at ${pointer(issue.path)}: ${rule(issue)}`;
}

/** The mini build of the library speaks no language: these are the words. */
function rule(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int'
        ? 'must be a whole number'
        : `must be ${/^[aeiou]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected}`;
    case 'too_small':
      return issue.origin === 'string' && issue.minimum === 1
        ? 'must not be empty'
        : `must be at least ${amount(issue.minimum, issue.origin)}`;
    case 'too_big':
      return `must be at most ${amount(issue.maximum, issue.origin)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    default:
      return 'is not valid';
  }
}

const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' items' };
const amount = (limit: number | bigint, origin: string): string => `${limit}${UNITS[origin] ?? ''}`;

/** Keys of a record are the caller's own: a long one is cut, so that an answer stays small. */
const pointer = (path: readonly PropertyKey[]): string => `/${path.map((part) => String(part).slice(0, 64)).join('/')}`;

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const part of path) {
    if (Array.isArray(at) && typeof part === 'number') at = at[part];
    else if (isRecord(at) && Object.hasOwn(at, String(part))) at = at[String(part)];
    else return undefined;
  }
  return at;
}
