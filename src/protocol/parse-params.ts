import * as z from 'zod/mini';
import { err, ok, type Result } from '../lib/result.ts';
import type { Schema } from './define.ts';

/**
 * Checks `value` against `schema`: the parsed value, or one line that says where and what, e.g.
 * `at /limit: expected number, received string`. Never throws. Unknown keys are dropped.
 */
export function parseParams<T>(schema: Schema<T>, value: unknown): Result<T, string> {
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0];
  const path = issue === undefined || issue.path.length === 0 ? 'root' : `/${issue.path.map(String).join('/')}`;
  return err(`at ${path}: ${issue?.message ?? 'invalid value'}`);
}
