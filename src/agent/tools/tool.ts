import { isRecord, type Json, jsonDepth } from '../../lib/json.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import type { ToolSpec } from '../providers/model-stream.ts';
import type { Workspace } from './confine.ts';

/** A tool of the agent. Its outcome is text for the model, a refusal too. */
export interface Tool {
  readonly spec: ToolSpec;
  /** For people: what a call does, e.g. `from notes.md`. Bounded and harmless to show. */
  describe(args: ToolArgs): string;
  /** Whether a call may change something. */
  readonly writes: boolean;
  run(args: ToolArgs, context: ToolContext): Promise<ToolOutcome>;
}
export interface ToolContext {
  readonly workspace: Workspace;
  readonly signal: AbortSignal;
}
export interface ToolOutcome {
  readonly text: string;
  readonly isError: boolean;
}

export const done = (text: string): ToolOutcome => ({ text, isError: false });
export const failed = (text: string): ToolOutcome => ({ text, isError: true });

const MAX_ARGS_CHARS = 1_000_000;
const MAX_ARGS_DEPTH = 16;

/** The arguments of one call. Only own properties count, so that nothing comes from a prototype. */
export class ToolArgs {
  readonly raw: { readonly [key: string]: Json };
  constructor(raw: { readonly [key: string]: Json }) {
    this.raw = raw;
  }
  private own(name: string): Json | undefined {
    return Object.hasOwn(this.raw, name) ? this.raw[name] : undefined;
  }
  text(name: string): string | undefined {
    const value = this.own(name);
    return typeof value === 'string' ? value : undefined;
  }
  /** A whole number in the range; anything else counts as not given. */
  count(name: string, min: number, max: number): number | undefined {
    const value = this.own(name);
    const number = typeof value === 'string' ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) && number >= min ? Math.min(number, max) : undefined;
  }
  flag(name: string): boolean {
    const value = this.own(name);
    return value === true || value === 'true';
  }
}

/** What a model sent as arguments. An empty text is an empty object: some models send that for no arguments. */
export function parseArgs(input: string): Result<ToolArgs, string> {
  if (input.length > MAX_ARGS_CHARS) return err('The arguments are too large.');
  if (jsonDepth(input, MAX_ARGS_DEPTH) > MAX_ARGS_DEPTH) return err('The arguments are nested too deeply.');
  try {
    const value: unknown = input.trim() === '' ? {} : JSON.parse(input);
    if (!isRecord(value)) return err('The arguments must be a JSON object.');
    return ok(new ToolArgs(value as { readonly [key: string]: Json }));
  } catch {
    return err('The arguments are not valid JSON.');
  }
}
