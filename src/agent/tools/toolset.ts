import { messageOf } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import type { ToolPolicy } from '../ports.ts';
import { clip, oneLine } from '../text.ts';
import { fileTools } from './files.ts';
import { toolAllowed } from './policy.ts';
import { search } from './search.ts';
import { parseArgs, type Tool, ToolArgs, type ToolContext, type ToolOutcome } from './tool.ts';

const ALL: readonly Tool[] = [...fileTools, search];
const TITLES: Readonly<Record<string, string>> = { read: 'Read', list: 'List', search: 'Search', write: 'Write', edit: 'Edit' };
/** Text of one tool result, UTF-16 units. */
export const MAX_RESULT_CHARS = 64_000;

/** The tools that a policy lets an agent use. */
export const toolset = (policy: ToolPolicy): readonly Tool[] => ALL.filter(({ spec }) => toolAllowed(spec.name, policy));

/** One call as a model asked for it, ready to be shown and run. */
export interface PreparedCall {
  readonly name: string;
  readonly args: Json;
  /** `Read from notes.md` */
  readonly title: string;
  /** `from notes.md` */
  readonly meta: string;
  run(context: ToolContext): Promise<ToolOutcome>;
}

/** Turns what a model sent into a call. One that may not be made, or cannot be read, becomes a call that answers why. */
export function prepareCall(tools: readonly Tool[], name: string, input: string): PreparedCall {
  const shown = oneLine(name, 64);
  const tool = tools.find(({ spec }) => spec.name === name);
  const args = parseArgs(input);
  const refusing = (text: string, raw: Json): PreparedCall => ({
    name: shown,
    args: raw,
    title: TITLES[name] ?? shown,
    meta: '',
    run: async () => ({ text, isError: true }),
  });
  if (tool === undefined) return refusing(`There is no tool "${shown}" here.`, args.ok ? args.value.raw : {});
  if (!args.ok) return refusing(args.error, {});
  const meta = tool.describe(args.value);
  return {
    name,
    args: args.value.raw,
    title: `${TITLES[name] ?? name} ${meta}`.trim(),
    meta,
    async run(context) {
      try {
        const { text, isError } = await tool.run(new ToolArgs(args.value.raw), context);
        return { text: clip(text, MAX_RESULT_CHARS), isError };
      } catch (thrown) {
        return { text: `The tool failed: ${oneLine(messageOf(thrown), 200)}`, isError: true };
      }
    },
  };
}
