import { oneLine } from '../text.ts';
import type { Workspace } from './confine.ts';
import { MAX_FILE_BYTES, textOf } from './file-text.ts';
import { done, failed, type Tool } from './tool.ts';

// Bounds of one search. It is a plain text search: a pattern language would let the text decide how long it takes.
const MAX_FILES = 2_000;
const MAX_DIRS = 500;
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_MATCHES = 100;
const MAX_LINE = 240;
/** A longer text could make the engine's own search take the product of the two lengths. */
const MAX_WANTED = 200;
const MAX_ENTRIES = 2_000;
const SKIPPED = new Set(['node_modules', '.git', '.venv', '__pycache__']);

export const search: Tool = {
  spec: {
    name: 'search',
    description: 'Find a text in the files of the workspace (plain text, case ignored). Answers path:line: text.',
    parameters: {
      type: 'object',
      properties: {
        text: { type: 'string', description: 'What to look for' },
        path: { type: 'string', description: 'Directory to look in; default: all' },
      },
      required: ['text'],
      additionalProperties: false,
    },
  },
  writes: false,
  describe: (args) => `for ${oneLine(args.text('text') ?? '', 80)}`,
  async run(args, { workspace, signal }) {
    const wanted = args.text('text') ?? args.text('query') ?? args.text('pattern');
    if (wanted === undefined || wanted === '') return failed('"text" is missing.');
    if (wanted.length > MAX_WANTED) return failed(`"text" has at most ${MAX_WANTED} characters: look for a part of it.`);
    const state: State = { wanted: wanted.toLowerCase(), matches: [], files: 0, bytes: 0, cut: false };
    const queue = [args.text('path') ?? ''];
    for (let dirs = 0; queue.length > 0; dirs++) {
      const dir = queue.shift() ?? '';
      if (dirs >= MAX_DIRS || state.cut || signal.aborted) {
        state.cut = true;
        break;
      }
      const found = await workspace.list(dir, MAX_ENTRIES);
      if (!found.ok) {
        // The place that was asked for must exist; one that vanished meanwhile is passed over.
        if (dirs === 0) return failed(found.error);
        continue;
      }
      for (const { name, kind, bytes } of found.value.entries) {
        const path = dir === '' || dir === '.' ? name : `${dir}/${name}`;
        if (kind === 'directory' && !SKIPPED.has(name)) queue.push(path);
        if (kind === 'file' && bytes <= MAX_FILE_BYTES && !state.cut && !signal.aborted) await searchFile(workspace, path, state);
      }
    }
    if (state.matches.length === 0) return done(`Nothing found${state.cut ? ' in the part that was searched' : ''}.`);
    return done(state.matches.join('\n') + (state.cut ? '\n[there may be more; narrow the search with path]' : ''));
  },
};

interface State {
  readonly wanted: string;
  readonly matches: string[];
  files: number;
  bytes: number;
  cut: boolean;
}

async function searchFile(workspace: Workspace, path: string, state: State): Promise<void> {
  if (++state.files > MAX_FILES || state.bytes > MAX_BYTES) {
    state.cut = true;
    return;
  }
  const file = await workspace.read(path, (handle) => textOf(handle, MAX_FILE_BYTES));
  if (!file.ok || !file.value.ok) return;
  const { text } = file.value.value;
  state.bytes += text.length;
  if (!text.toLowerCase().includes(state.wanted)) return;
  for (const [index, line] of text.split('\n').entries()) {
    const at = line.toLowerCase().indexOf(state.wanted);
    if (at === -1) continue;
    if (state.matches.length >= MAX_MATCHES) {
      state.cut = true;
      return;
    }
    const from = Math.max(0, at - MAX_LINE / 2);
    state.matches.push(`${oneLine(path, 300)}:${index + 1}: ${oneLine(line.slice(from, from + MAX_LINE * 4), MAX_LINE)}`);
  }
}
