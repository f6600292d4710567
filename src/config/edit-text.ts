import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import {
  type DocArray,
  type DocEntry,
  type DocItem,
  type DocNode,
  type DocObject,
  type Document,
  entryOf,
  parseDocument,
  type Token,
} from './document.ts';
import { parseJson5, stripBom } from './json5-text.ts';
import { FORBIDDEN_KEYS, formatPath, type KeyPath, parsePath } from './key-path.ts';
import { sameJson, treeFlaw, treeWith } from './tree.ts';

/** One change of the file. A list index that equals the list's length appends. */
export type ConfigEdit =
  | { readonly op: 'set'; readonly path: string | KeyPath; readonly value: unknown }
  | { readonly op: 'unset'; readonly path: string | KeyPath };

export interface EditFlaw {
  readonly code: 'EDIT_PATH' | 'EDIT_VALUE' | 'EDIT_ABSENT' | 'EDIT_TEXT';
  readonly path: string;
  /** Reads on after the path. */
  readonly message: string;
}

const EMPTY_FILE = '{\n}\n';

/**
 * Changes the text of a config and leaves everything else of it, byte for byte: comments, order, quotes, blank lines.
 * Comments go only with the value they stand in. `''` counts as an empty file.
 *
 * @returns the new text; it is JSON5 when `raw` was, and holds the values that were set
 */
export async function applyEdits(raw: string, edits: readonly ConfigEdit[]): Promise<Result<string, EditFlaw>> {
  let text = stripBom(raw).trim() === '' ? EMPTY_FILE : raw;
  for (const edit of edits) {
    const keys = typeof edit.path === 'string' ? parsePath(edit.path) : ok(edit.path);
    if (!keys.ok) return err({ code: 'EDIT_PATH', path: String(edit.path), message: keys.error });
    const path = formatPath(keys.value);
    if (keys.value.length === 0) return err({ code: 'EDIT_PATH', path, message: 'is the whole file: name a key' });
    if (keys.value.some((key) => typeof key === 'string' && (FORBIDDEN_KEYS.has(key) || !isSoundText(key))))
      return err({ code: 'EDIT_PATH', path, message: 'has a key that is not allowed' });
    const document = await parseDocument(text);
    if (!document.ok) return err({ code: 'EDIT_TEXT', path, message: document.error });
    const value = edit.op === 'set' ? plainValue(edit.value) : ok(undefined);
    if (!value.ok) return err({ code: 'EDIT_VALUE', path, message: value.error });
    const json5 = (await import('json5')).default;
    const context: Context = { ...document.value, print: (v, style) => print(v, style, json5) };
    const next = edit.op === 'set' ? setIn(context, keys.value, value.value) : unsetIn(context, keys.value);
    if (!next.ok) return err({ path, ...next.error });
    // Proof instead of trust: the new text must hold exactly the old values with this one changed.
    const [before, after] = await Promise.all([parseJson5(text), parseJson5(next.value)]);
    const wanted = before.ok ? treeWith(before.value, keys.value, value.value) : undefined;
    if (!after.ok || !sameJson(after.value, wanted))
      return err({ code: 'EDIT_TEXT', path, message: 'cannot be changed in this file without harm: edit it by hand' });
    text = next.value;
  }
  return ok(text);
}

/** The edits that turn one tree into another, leaf by leaf, so that comments survive. Lists are replaced as a whole. */
export function editsBetween(before: unknown, after: unknown, at: KeyPath = []): ConfigEdit[] {
  if (sameJson(before, after)) return [];
  if (!isRecord(before) || !isRecord(after)) return [{ op: 'set', path: at, value: after }];
  const edits: ConfigEdit[] = [];
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) edits.push({ op: 'unset', path: [...at, key] });
  for (const [key, value] of Object.entries(after)) {
    if (Object.hasOwn(before, key)) edits.push(...editsBetween(before[key], value, [...at, key]));
    else edits.push({ op: 'set', path: [...at, key], value });
  }
  return edits;
}

type Refused = Omit<EditFlaw, 'path'>;
interface Context extends Document {
  readonly print: (value: unknown, style: Style) => string;
}

// Only what JSON can say, and nothing that a reader of the file would refuse.
function plainValue(value: unknown): Result<unknown, string> {
  const flaw = treeFlaw(value);
  if (flaw !== undefined) return err(flaw.message);
  let bad: string | undefined;
  const walk = (v: unknown): void => {
    if (typeof v === 'number' && !Number.isFinite(v)) bad = `holds ${v}, which is no value here`;
    else if (typeof v === 'string' && !isSoundText(v)) bad = 'holds a NUL character or half of a character';
    else if (v === undefined || typeof v === 'bigint' || typeof v === 'function' || typeof v === 'symbol') bad = 'is not a JSON value';
    else if (Array.isArray(v)) v.forEach(walk);
    else if (isRecord(v)) for (const [key, item] of Object.entries(v)) walk(isSoundText(key) ? item : key);
  };
  walk(value);
  return bad === undefined ? ok(value) : err(bad);
}

// A lone surrogate would reach the file as another character.
const isSoundText = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

// ---- set -----------------------------------------------------------------------------------------------------------

function setIn(context: Context, keys: KeyPath, value: unknown): Result<string, Refused> {
  let node: DocNode = context.root;
  for (const [depth, key] of keys.entries()) {
    const rest = keys.slice(depth + 1);
    const here = formatPath(keys.slice(0, depth)) || 'the file';
    if (typeof key === 'number') {
      if (node.kind !== 'array') return err({ code: 'EDIT_PATH', message: `needs a list, but ${here} is ${nounOf(node)}` });
      const item: DocItem | undefined = node.entries[key];
      if (item === undefined) {
        if (key !== node.entries.length)
          return err({ code: 'EDIT_PATH', message: `is past the end of ${here}, which has ${node.entries.length} entries` });
        return nest(rest, value, (v) => insert(context, node as DocArray, undefined, v));
      }
      node = item.value;
    } else {
      if (node.kind !== 'object') return err({ code: 'EDIT_PATH', message: `needs an object, but ${here} is ${nounOf(node)}` });
      const entry: DocEntry | undefined = entryOf(node, key);
      if (entry === undefined) return nest(rest, value, (v) => insert(context, node as DocObject, key, v));
      node = entry.value;
    }
  }
  const style = styleAt(context, node.start);
  return ok(splice(context.text, node.start, node.end, context.print(value, style)));
}

// What is missing on the way is made: objects for names, lists for index 0.
function nest(rest: KeyPath, value: unknown, write: (value: unknown) => string): Result<string, Refused> {
  let made = value;
  for (const key of rest.toReversed()) {
    if (typeof key === 'number' && key !== 0) return err({ code: 'EDIT_PATH', message: `begins a new list at [${key}]: begin with [0]` });
    made = typeof key === 'number' ? [made] : { [key]: made };
  }
  return ok(write(made));
}

function insert(context: Context, parent: DocObject | DocArray, key: string | undefined, value: unknown): string {
  const { text, tokens } = context;
  const last = parent.entries.at(-1);
  const lastStart = last === undefined ? undefined : startOf(last);
  const outer = indentOf(text, parent.start);
  // In a one-line object that stands in a one-line file, stay on the line.
  const multiline = last === undefined ? text.includes('\n') : lineOf(text, lastStart ?? 0) !== lineOf(text, parent.start);
  const style = styleAt(context, parent.start, parent.kind === 'object' ? parent : undefined);
  const indent =
    last !== undefined && multiline && isFirstOnLine(text, lastStart ?? 0) ? indentOf(text, lastStart ?? 0) : outer + style.unit;
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const name = key === undefined ? '' : `${printKey(key, style, context)}${text.includes('":"') && !multiline ? ':' : ': '}`;
  const body = name + context.print(value, { ...style, indent: multiline ? indent : undefined, newline });
  const trailingComma = last?.comma !== undefined || (last === undefined && multiline && style.bareKeys);

  if (last === undefined) {
    const close = parent.end - 1;
    if (!multiline) return splice(text, close, close, parent.kind === 'object' ? ` ${body} ` : body);
    const comma = trailingComma ? ',' : '';
    // `{` and `}` on one line are opened up; a `}` that begins its line gets the entry in front of it.
    if (isFirstOnLine(text, close)) {
      const lineStart = text.lastIndexOf('\n', close - 1) + 1;
      return splice(text, lineStart, lineStart, `${indent}${body}${comma}${newline}`);
    }
    return splice(text, close, close, `${newline}${indent}${body}${comma}${newline}${outer}`);
  }

  const valueEnd = last.value.end;
  const anchor = last.comma === undefined ? valueEnd : last.comma + 1;
  const withComma = last.comma === undefined ? splice(text, valueEnd, valueEnd, ',') : text;
  const shift = withComma.length - text.length;
  if (!multiline) return splice(withComma, anchor + shift, anchor + shift, ` ${body}${trailingComma ? ',' : ''}`);
  // Behind the comment that ends the last entry's line: it belongs to that entry.
  const at = endOfRemark(tokens, anchor) + shift;
  return splice(withComma, at, at, `${newline}${indent}${body}${trailingComma ? ',' : ''}`);
}

// ---- unset ---------------------------------------------------------------------------------------------------------

function unsetIn(context: Context, keys: KeyPath): Result<string, Refused> {
  let parent: DocNode = context.root;
  for (const key of keys.slice(0, -1)) {
    const next: DocNode | undefined = itemOf(parent, key)?.value;
    if (next === undefined) return err({ code: 'EDIT_ABSENT', message: 'is not in the file' });
    parent = next;
  }
  const key = keys.at(-1);
  if (key === undefined || parent.kind === 'scalar' || itemOf(parent, key) === undefined)
    return err({ code: 'EDIT_ABSENT', message: 'is not in the file' });

  // A name that stands twice goes with both, or the earlier would come to light.
  const gone: ReadonlySet<DocItem> = new Set(
    typeof key === 'number'
      ? [itemOf(parent, key)].filter((item) => item !== undefined)
      : parent.kind === 'object'
        ? parent.entries.filter((entry) => entry.key === key)
        : [],
  );
  const cuts: { start: number; end: number }[] = [];
  for (const item of gone) {
    cuts.push({ start: item.value.start, end: item.value.end });
    if (item.comma !== undefined) cuts.push({ start: item.comma, end: item.comma + 1 });
    if ('key' in item) {
      const entry = item as DocEntry;
      cuts.push({ start: entry.keyStart, end: entry.keyEnd }, { start: entry.colon, end: entry.colon + 1 });
    }
  }
  // Without a comma of its own behind it, the one in front would be left over: right in JSON5, wrong in JSON.
  const lastGone = parent.entries.at(-1);
  if (lastGone !== undefined && gone.has(lastGone) && lastGone.comma === undefined) {
    const before = parent.entries.findLast((item) => !gone.has(item));
    if (before?.comma !== undefined) cuts.push({ start: before.comma, end: before.comma + 1 });
  }
  return ok(cutOut(context.tokens, cuts));
}

const itemOf = (node: DocNode, key: string | number): DocItem | undefined => {
  if (typeof key === 'number') return node.kind === 'array' ? node.entries[key] : undefined;
  return node.kind === 'object' ? entryOf(node, key) : undefined;
};

// Takes pieces out. Of the blanks left and right of a piece one stays; a line that then holds nothing goes; comments stay.
function cutOut(tokens: readonly Token[], cuts: readonly { start: number; end: number }[]): string {
  let result = '';
  let line: Token[] = [];
  let touched = false;
  const flush = (newline: string): void => {
    if (touched) {
      if (newline !== '' && line.at(-1)?.type === 'space') line.pop();
      if (line.length === 0) newline = '';
    }
    result += line.map((token) => token.text).join('') + newline;
    line = [];
    touched = false;
  };
  for (const token of tokens) {
    if (cuts.some((cut) => token.start >= cut.start && token.end <= cut.end)) touched = true;
    else if (token.type === 'newline') flush(token.text);
    else if (!(touched && token.type === 'space' && line.at(-1)?.type === 'space')) line.push(token);
  }
  flush('');
  return result;
}

// ---- how the file is written ---------------------------------------------------------------------------------------

interface Style {
  /** One step of indentation. */
  readonly unit: string;
  /** Of the line the value begins in; undefined: write on one line. */
  readonly indent?: string | undefined;
  readonly newline?: string;
  /** Keys without quotes, as JSON5 allows. */
  readonly bareKeys: boolean;
  readonly quote: '"' | "'";
}

function styleAt(context: Context, offset: number, sibling?: DocObject): Style {
  const { text, tokens, root } = context;
  const words = tokens.filter((token) => token.type === 'word');
  const keysOf = sibling !== undefined && sibling.entries.length > 0 ? sibling : root.kind === 'object' ? root : undefined;
  const first = keysOf?.entries[0];
  const quoted = words.find((token) => token.text.startsWith("'") || token.text.startsWith('"'));
  const step = /\n(\t| {1,8})(?=\S)/.exec(text)?.[1] ?? '  ';
  return {
    unit: step,
    indent: text.includes('\n') ? indentOf(text, offset) : undefined,
    newline: text.includes('\r\n') ? '\r\n' : '\n',
    bareKeys: first === undefined ? true : !/^["']/.test(text.slice(first.keyStart, first.keyEnd)),
    quote: quoted?.text.startsWith("'") ? "'" : '"',
  };
}

type Json5 = { stringify(value: unknown, options: { space: string; quote: string }): string };

function print(value: unknown, style: Style, json5: Json5): string {
  const space =
    style.indent === undefined || value === null || typeof value !== 'object' || Object.keys(value).length === 0 ? '' : style.unit;
  const text = style.bareKeys ? json5.stringify(value, { space, quote: style.quote }) : JSON.stringify(value, null, space);
  return text.replaceAll('\n', `${style.newline ?? '\n'}${style.indent ?? ''}`);
}

const printKey = (key: string, style: Style, context: Context): string => {
  if (!style.bareKeys) return JSON.stringify(key);
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : context.print(key, { ...style, bareKeys: true });
};

const splice = (text: string, start: number, end: number, put: string): string => text.slice(0, start) + put + text.slice(end);
const lineOf = (text: string, offset: number): number => text.lastIndexOf('\n', offset - 1);
const indentOf = (text: string, offset: number): string => /^[ \t]*/.exec(text.slice(lineOf(text, offset) + 1))?.[0] ?? '';
const isFirstOnLine = (text: string, offset: number): boolean => text.slice(lineOf(text, offset) + 1, offset).trim() === '';
const startOf = (item: DocItem): number => ('keyStart' in item ? (item as DocEntry).keyStart : item.value.start);
const nounOf = (node: DocNode): string => (node.kind === 'array' ? 'a list' : node.kind === 'object' ? 'an object' : 'a single value');

// From behind an entry over blanks and comments to the end of the line, if nothing else is on it.
function endOfRemark(tokens: readonly Token[], offset: number): number {
  let end = offset;
  for (const token of tokens) {
    if (token.start < offset) continue;
    if (token.type === 'newline') return end;
    if (token.type === 'comment') end = token.end;
    else if (token.type !== 'space') return offset;
  }
  return end;
}
