import { err, ok, type Result } from '../lib/result.ts';

/** A value in the text of a JSON5 file, by its offsets (UTF-16, `end` exclusive). */
export type DocNode = DocObject | DocArray | DocScalar;
interface Placed {
  readonly start: number;
  end: number;
}
export interface DocObject extends Placed {
  readonly kind: 'object';
  readonly entries: DocEntry[];
}
export interface DocArray extends Placed {
  readonly kind: 'array';
  readonly entries: DocItem[];
}
export interface DocScalar extends Placed {
  readonly kind: 'scalar';
}
export interface DocItem {
  readonly value: DocNode;
  /** Offset of the comma behind it. */
  comma?: number;
}
export interface DocEntry extends DocItem {
  readonly key: string;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly colon: number;
}

export interface Token {
  readonly type: 'space' | 'newline' | 'comment' | 'punctuation' | 'word';
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

export interface Document {
  readonly text: string;
  readonly tokens: readonly Token[];
  readonly root: DocNode;
}

/**
 * Reads the text of a JSON5 file as a tree of places, for edits that touch nothing else. The tokens are the library's;
 * the splices are ours, because its own re-printing drops comments at the edges of what it changes.
 * `text` must already be known to be JSON5; anything else is an error value, never a throw.
 */
export async function parseDocument(text: string): Promise<Result<Document, string>> {
  const [{ JsonLexer }, { default: json5 }] = await Promise.all([import('@croct/json5-parser'), import('json5')]);
  const tokens: Token[] = [];
  try {
    let start = 0;
    for (const token of JsonLexer.tokenize(text)) {
      const value: string = token.value;
      if (value === '') continue;
      tokens.push({ type: typeOf(String(token.type)), text: value, start, end: start + value.length });
      start += value.length;
    }
    if (start !== text.length) return err('the text has parts that cannot be told apart');
    const root = buildTree(tokens, (key) => keyOf(key, (source) => json5.parse(source)));
    return root === undefined ? err('the text is not complete') : ok({ text, tokens, root });
  } catch {
    return err('the text cannot be edited in place');
  }
}

function typeOf(type: string): Token['type'] {
  if (/^whitespace$/i.test(type)) return 'space';
  if (/^newline$/i.test(type)) return 'newline';
  if (/comment$/i.test(type)) return 'comment';
  return /^(brace|bracket|colon|comma)/i.test(type) ? 'punctuation' : 'word';
}

// A key as a program sees it: without quotes, escapes read.
function keyOf(source: string, parse: (source: string) => unknown): string {
  if (/^[A-Za-z_$][\w$]*$/.test(source)) return source;
  const [key] = Object.keys(parse(`{${source}:0}`) as object);
  if (key === undefined) throw new Error('no key');
  return key;
}

// Without recursion: a stack of what is open.
function buildTree(tokens: readonly Token[], readKey: (source: string) => string): DocNode | undefined {
  let root: DocNode | undefined;
  const open: (DocObject | DocArray)[] = [];
  let key: Token | undefined;
  let colon: Token | undefined;

  const place = (node: DocNode): void => {
    const parent = open.at(-1);
    if (parent === undefined) {
      if (root !== undefined) throw new Error('two values');
      root = node;
    } else if (parent.kind === 'array') parent.entries.push({ value: node });
    else {
      if (key === undefined || colon === undefined) throw new Error('no key');
      parent.entries.push({ key: readKey(key.text), keyStart: key.start, keyEnd: key.end, colon: colon.start, value: node });
      key = undefined;
      colon = undefined;
    }
  };

  for (const token of tokens) {
    if (token.type === 'space' || token.type === 'newline' || token.type === 'comment') continue;
    const parent = open.at(-1);
    if (token.text === '{' || token.text === '[') {
      const node: DocObject | DocArray = { kind: token.text === '{' ? 'object' : 'array', start: token.start, end: token.end, entries: [] };
      place(node);
      open.push(node);
    } else if (token.text === '}' || token.text === ']') {
      const closed = open.pop();
      if (closed === undefined) throw new Error('closed without being open');
      closed.end = token.end;
    } else if (token.text === ',') {
      const last = parent?.entries.at(-1);
      if (last === undefined) throw new Error('a comma after nothing');
      last.comma = token.start;
    } else if (token.text === ':') colon = token;
    else if (parent?.kind === 'object' && colon === undefined) key = token;
    else place({ kind: 'scalar', start: token.start, end: token.end });
  }
  return open.length === 0 ? root : undefined;
}

/** The last entry of that name: where a name stands twice, JSON5 takes the later. */
export const entryOf = (node: DocObject, key: string): DocEntry | undefined => node.entries.findLast((entry) => entry.key === key);
