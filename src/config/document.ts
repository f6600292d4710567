import { err, ok, type Result } from '../lib/result.ts';
import { Pauses } from './breathe.ts';
import { keyValue, ScanError, Scanner } from './json5-scan.ts';

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
 * Reads the text of a JSON5 file as a tree of places, in slices, for edits that touch nothing else.
 * `text` must already be known to be JSON5; anything else is an error value, never a throw.
 *
 * @param keep which tokens are wanted: all of them, for an edit, or the comments
 */
export async function parseDocument(
  text: string,
  keep: 'all' | 'comments' = 'all',
  pauses: Pauses = new Pauses(),
): Promise<Result<Document, string>> {
  const tokens: Token[] = [];
  try {
    const root = await buildTree(text, keep, pauses, (token) => {
      if (keep === 'all' || token.type === 'comment')
        tokens.push({
          type: token.type === 'string' || token.type === 'end' ? 'word' : token.type,
          text: text.slice(token.start, token.end),
          start: token.start,
          end: token.end,
        });
    });
    return root === undefined ? err('the text is not complete') : ok({ text, tokens, root });
  } catch (thrown) {
    if (thrown instanceof ScanError) return err('the text cannot be edited in place');
    throw thrown;
  }
}

// Without recursion: a stack of what is open.
async function buildTree(
  text: string,
  keep: 'all' | 'comments',
  pauses: Pauses,
  onToken: (token: Scanner) => void,
): Promise<DocNode | undefined> {
  const scanner = new Scanner(text);
  let root: DocNode | undefined;
  const open: (DocObject | DocArray)[] = [];
  let key: { readonly start: number; readonly end: number } | undefined;
  let colon: number | undefined;
  const bad = (): ScanError => new ScanError(scanner.start, 'out of place');

  const place = (node: DocNode): void => {
    const parent = open.at(-1);
    if (parent === undefined) {
      if (root !== undefined) throw bad();
      root = node;
    } else if (parent.kind === 'array') parent.entries.push({ value: node });
    else {
      if (key === undefined || colon === undefined) throw bad();
      const name = keyValue(text.slice(key.start, key.end), key.start);
      parent.entries.push({ key: name, keyStart: key.start, keyEnd: key.end, colon, value: node });
      key = undefined;
      colon = undefined;
    }
  };

  const advance = keep === 'all' ? () => scanner.next() : () => scanner.nextInk();
  for (advance(); scanner.type !== 'end'; advance()) {
    if (pauses.due()) await pauses.now();
    onToken(scanner);
    const { type, start, end } = scanner;
    if (type === 'space' || type === 'newline' || type === 'comment') continue;
    const parent = open.at(-1);
    const mark = type === 'punctuation' ? text[start] : undefined;
    if (mark === '{' || mark === '[') {
      const node: DocObject | DocArray = { kind: mark === '{' ? 'object' : 'array', start, end, entries: [] };
      place(node);
      open.push(node);
    } else if (mark === '}' || mark === ']') {
      const closed = open.pop();
      if (closed === undefined) throw bad();
      closed.end = end;
    } else if (mark === ',') {
      const last = parent?.entries.at(-1);
      if (last === undefined) throw bad();
      last.comma = start;
    } else if (mark === ':') colon = start;
    else if (parent?.kind === 'object' && colon === undefined) key = { start, end };
    else place({ kind: 'scalar', start, end });
  }
  return open.length === 0 ? root : undefined;
}

/** The last entry of that name: where a name stands twice, JSON5 takes the later. */
export const entryOf = (node: DocObject, key: string): DocEntry | undefined => node.entries.findLast((entry) => entry.key === key);
