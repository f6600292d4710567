import { oneLine } from '../text.ts';
import type { Workspace } from './confine.ts';
import { MAX_FILE_BYTES, textOf } from './file-text.ts';
import { findText } from './find-text.ts';
import { done, failed, type Tool } from './tool.ts';

// Bounds of one search. It is a plain text search: a pattern language would let the text decide how long it takes.
const MAX_FILES = 2_000;
const MAX_DIRS = 500;
const MAX_BYTES = 32 * 1024 * 1024;
/** A search that has taken this long answers with what it has, ms. */
const MAX_MS = 10_000;
const MAX_WANTED = 1_000;
const MAX_MATCHES = 100;
const MAX_LINE = 240;
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
    if (wanted.length > MAX_WANTED) return failed(`"text" is too long: at most ${MAX_WANTED} characters.`);
    const until = performance.now() + MAX_MS;
    const isOver = (): boolean => state.cut || signal.aborted || performance.now() > until;
    const state: State = { wanted: wanted.toLowerCase(), matches: [], files: 0, bytes: 0, cut: false };
    const queue = [args.text('path') ?? ''];
    for (let dirs = 0; queue.length > 0; dirs++) {
      const dir = queue.shift() ?? '';
      if (dirs >= MAX_DIRS || isOver()) {
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
        if (kind === 'file' && bytes <= MAX_FILE_BYTES && !isOver()) await searchFile(workspace, path, bytes, state);
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

async function searchFile(workspace: Workspace, path: string, bytes: number, state: State): Promise<void> {
  state.bytes += bytes;
  if (++state.files > MAX_FILES || state.bytes > MAX_BYTES) {
    state.cut = true;
    return;
  }
  const file = await workspace.read(path, (handle) => textOf(handle, MAX_FILE_BYTES));
  if (!file.ok || !file.value.ok) return;
  const { text } = file.value.value;
  const folded = text.toLowerCase();
  // Case may change the length of a text, but not its lines: both are walked along together.
  const line = { number: 1, from: 0, folded: 0, reported: 0 };
  await findText(folded, state.wanted, (at) => {
    for (let next = folded.indexOf('\n', line.folded); next !== -1 && next < at; next = folded.indexOf('\n', line.folded)) {
      line.folded = next + 1;
      line.from = text.indexOf('\n', line.from) + 1;
      line.number++;
    }
    if (line.reported === line.number) return true;
    if (state.matches.length >= MAX_MATCHES) {
      state.cut = true;
      return false;
    }
    line.reported = line.number;
    const from = line.from + Math.max(0, at - line.folded - MAX_LINE / 2);
    const end = text.indexOf('\n', from);
    const shown = text.slice(from, Math.min(end === -1 ? text.length : end, from + MAX_LINE * 4));
    state.matches.push(`${oneLine(path, 300)}:${line.number}: ${oneLine(shown, MAX_LINE)}`);
    return true;
  });
}
