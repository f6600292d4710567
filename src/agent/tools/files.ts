import { err, ok } from '../../lib/result.ts';
import { oneLine } from '../text.ts';
import { MAX_FILE_BYTES, textOf, textOfBytes } from './file-text.ts';
import { findText } from './find-text.ts';
import { done, failed, type Tool, type ToolArgs } from './tool.ts';

const READ_LINES = 2_000;
const READ_CHARS = 50_000;
const LIST_ENTRIES = 500;
const WRITE_CHARS = 1_000_000;
/** Places that one edit replaces. */
const MAX_PLACES = 200_000;
const LF = 10;

const where = (args: ToolArgs): string => oneLine(args.text('path') ?? '.', 120);
const pathParameter = { type: 'string', description: 'Path in the workspace, e.g. "notes/today.md"' } as const;
const MISSING_PATH = failed('"path" is missing.');

const read: Tool = {
  spec: {
    name: 'read',
    description: 'Read a text file of the workspace. Long files come in pieces: give offset (first line, from 1) and limit.',
    parameters: {
      type: 'object',
      properties: {
        path: pathParameter,
        offset: { type: 'integer', minimum: 1, description: 'First line, from 1' },
        limit: { type: 'integer', minimum: 1, description: 'Number of lines' },
      },
      required: ['path'],
      additionalProperties: false,
    },
  },
  writes: false,
  describe: (args) => `from ${where(args)}`,
  async run(args, { workspace }) {
    const path = args.text('path');
    if (path === undefined) return MISSING_PATH;
    const offset = args.count('offset', 1, Number.MAX_SAFE_INTEGER) ?? 1;
    const limit = args.count('limit', 1, READ_LINES) ?? READ_LINES;
    const file = await workspace.read(path, (handle) => textOf(handle, MAX_FILE_BYTES));
    if (!file.ok) return failed(file.error);
    if (!file.value.ok) return failed(file.value.error);
    const { text, cut } = file.value.value;
    if (offset === 1 && text.length <= READ_CHARS && limit === READ_LINES && !cut && countLines(text) <= READ_LINES) return done(text);
    const total = countLines(text);
    if (offset > total) return failed(`The file has ${total} lines.`);
    const from = lineStart(text, 0, offset - 1);
    let piece = text.slice(from, Math.max(from, lineStart(text, from, limit) - 1));
    if (offset - 1 + limit >= total) piece = text.slice(from);
    if (piece.length > READ_CHARS) piece = piece.slice(0, READ_CHARS);
    const last = offset + countLines(piece) - 1;
    const rest = last < total || cut ? `\n[lines ${offset}-${last} of ${total}${cut ? '+' : ''}; read on with offset ${last + 1}]` : '';
    return done(piece + rest);
  },
};

const list: Tool = {
  spec: {
    name: 'list',
    description: 'List a directory of the workspace.',
    parameters: { type: 'object', properties: { path: pathParameter }, additionalProperties: false },
  },
  writes: false,
  describe: (args) => `in ${where(args)}`,
  async run(args, { workspace }) {
    const found = await workspace.list(args.text('path') ?? '.', LIST_ENTRIES);
    if (!found.ok) return failed(found.error);
    const { entries, more } = found.value;
    if (entries.length === 0) return done('(empty)');
    const lines = entries.map(({ name, kind, bytes }) => {
      // A name is text from outside too: a line break in it must not look like another entry.
      const shown = name.replace(/[\p{C}]/gu, '?');
      return kind === 'directory' ? `${shown}/` : kind === 'file' ? `${shown} (${bytes} bytes)` : `${shown} (${kind}, not followed)`;
    });
    return done(lines.join('\n') + (more ? `\n[only the first ${LIST_ENTRIES} are shown]` : ''));
  },
};

const write: Tool = {
  spec: {
    name: 'write',
    description: 'Write a text file of the workspace: made with its directories, or replaced as a whole.',
    parameters: {
      type: 'object',
      properties: { path: pathParameter, content: { type: 'string', description: 'The whole text' } },
      required: ['path', 'content'],
      additionalProperties: false,
    },
  },
  writes: true,
  describe: (args) => `to ${where(args)}`,
  async run(args, { workspace }) {
    const path = args.text('path');
    const content = args.text('content');
    if (path === undefined) return MISSING_PATH;
    if (content === undefined) return failed('"content" is missing.');
    if (content.length > WRITE_CHARS) return failed(`"content" is too long: at most ${WRITE_CHARS} characters.`);
    const written = await workspace.write(path, content.toWellFormed());
    if (!written.ok) return failed(written.error);
    return done(`${written.value.created ? 'Created' : 'Replaced'} ${oneLine(path, 200)} (${Buffer.byteLength(content)} bytes).`);
  },
};

const edit: Tool = {
  spec: {
    name: 'edit',
    description: 'Change a text file of the workspace: replace oldText, which must occur exactly once, by newText.',
    parameters: {
      type: 'object',
      properties: {
        path: pathParameter,
        oldText: { type: 'string', description: 'Text that stands in the file, exactly' },
        newText: { type: 'string', description: 'What to put in its place' },
        all: { type: 'boolean', description: 'Replace every occurrence' },
      },
      required: ['path', 'oldText', 'newText'],
      additionalProperties: false,
    },
  },
  writes: true,
  describe: (args) => `in ${where(args)}`,
  async run(args, { workspace }) {
    const path = args.text('path');
    const oldText = args.text('oldText') ?? args.text('old_text');
    const newText = args.text('newText') ?? args.text('new_text');
    if (path === undefined) return MISSING_PATH;
    if (oldText === undefined || oldText === '') return failed('"oldText" is missing.');
    if (newText === undefined) return failed('"newText" is missing.');
    const all = args.flag('all');
    let times = 0;
    const changed = await workspace.change(path, MAX_FILE_BYTES, async (bytes) => {
      const text = textOfBytes(bytes);
      if (!text.ok) return text;
      const places: number[] = [];
      await findText(text.value, oldText, (at) => {
        times++;
        // The rest is only counted.
        if (places.length < MAX_PLACES) places.push(at);
        return true;
      });
      if (times === 0) return err('"oldText" does not occur in the file. Read it first; the text must match exactly.');
      if (times > 1 && !all) return err(`"oldText" occurs ${times} times. Give more of the text around it, or all: true.`);
      if (times > MAX_PLACES) return err(`"oldText" occurs ${times} times; at most ${MAX_PLACES} can be replaced at once.`);
      if (text.value.length + times * (newText.length - oldText.length) > WRITE_CHARS) {
        return err(`The file would be too long: at most ${WRITE_CHARS} characters.`);
      }
      const pieces: string[] = [];
      let from = 0;
      for (const at of places) {
        pieces.push(text.value.slice(from, at));
        from = at + oldText.length;
      }
      pieces.push(text.value.slice(from));
      return ok(pieces.join(newText).toWellFormed());
    });
    return changed.ok ? done(`Changed ${oneLine(path, 200)} (${times} ${times === 1 ? 'place' : 'places'}).`) : failed(changed.error);
  },
};

// Loops over units and not `split` or `indexOf`: a file of two million empty lines takes some 3 ms.
function countLines(text: string): number {
  let lines = 1;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) === LF) lines++;
  return lines;
}

/** Where the line begins that is `lines` further than the one at `from`; one past the end of the text when there is none. */
function lineStart(text: string, from: number, lines: number): number {
  let i = from;
  for (let left = lines; left > 0 && i <= text.length; i++) if (i === text.length || text.charCodeAt(i) === LF) left--;
  return i;
}

export const fileTools: readonly Tool[] = [read, list, write, edit];
