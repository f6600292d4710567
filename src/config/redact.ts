import { err, ok, type Result } from '../lib/result.ts';
import { Pauses } from './breathe.ts';
import { type DocArray, type DocNode, type Document, entryOf, parseDocument } from './document.ts';
import { stringValue } from './json5-scan.ts';
import { formatPath, type KeyPath } from './key-path.ts';
import { isReference, REDACTED, Redactor } from './redactor.ts';

/** The text of the file with every secret replaced, in values and in comments, and nothing else changed. `''` where that cannot be done. */
export async function redactRaw(raw: string, redactor: Redactor = new Redactor(), pauses: Pauses = new Pauses()): Promise<string> {
  if (raw === '') return '';
  const document = await parseDocument(raw, 'comments', pauses);
  if (!document.ok) return '';
  const cuts: Cut[] = [];
  for (const found of await values(document.value, pauses)) {
    if (pauses.due()) await pauses.now();
    const shown = shownOf(found, redactor);
    if (shown !== found.value) cuts.push({ start: found.node.start, end: found.node.end, put: JSON.stringify(shown) });
  }
  for (const key of keysOf(document.value)) {
    if (pauses.due()) await pauses.now();
    const shown = redactor.key(key.name);
    if (shown !== key.name) cuts.push({ start: key.start, end: key.end, put: JSON.stringify(shown) });
  }
  for (const token of document.value.tokens) {
    if (pauses.due()) await pauses.now();
    const shown = redactComment(token.text, redactor);
    if (shown !== token.text) cuts.push({ start: token.start, end: token.end, put: shown });
  }
  return spliceAll(raw, cuts);
}

const shownOf = ({ value, isNumber, keys, before }: FoundValue, redactor: Redactor): string =>
  isNumber ? redactor.number(value, keys) : redactor.text(value, keys, before);

// `// token: "abc"`: a line that was commented out still holds its secret. The signs around it stay, whatever is in it.
function redactComment(text: string, redactor: Redactor): string {
  const close = text.startsWith('/*') ? '*/' : '';
  const inner = text.slice(2, text.length - close.length);
  // What takes the place of a long text must not end the comment, and `redactor` puts in nothing but its mark.
  return `${text.slice(0, 2)}${redactor.loose(inner, 'any')}${close}`;
}

/**
 * Puts the secrets of `current` back where `submitted` has the mark: at the same place; in lists, at the entry of the same
 * `id` or `name`, else at the same index of a list of the same length. Where it is not clear which secret is meant, the
 * whole text is refused: a guess could give one service the key of another.
 *
 * @param redactor the one that made the view which is sent back
 */
export async function restoreRedacted(
  submitted: string,
  current: string,
  redactor: Redactor = new Redactor(),
): Promise<Result<string, { readonly path: string; readonly message: string }>> {
  if (!submitted.includes(REDACTED)) return ok(submitted);
  const pauses = new Pauses();
  const next = await parseDocument(submitted, 'comments', pauses);
  // Not JSON5: the judgement of the whole text says what is wrong with it.
  if (!next.ok) return ok(submitted);
  const now = await parseDocument(current === '' ? '{}' : current, 'comments', pauses);
  if (!now.ok) return err({ path: '', message: 'the file on disk cannot be read, so its secrets cannot be kept: send them in full' });
  const cuts: Cut[] = [];
  const originals = new Map((await values(now.value, pauses)).map((found) => [found.node as DocNode, found]));
  for (const { node, value, route } of await values(next.value, pauses)) {
    if (!value.includes(REDACTED)) continue;
    const keys = route.map((step) => step.key);
    const original = originals.get(counterpart(route, now.value, next.value) as DocNode);
    if (original === undefined || shownOf(original, redactor) !== value) {
      return err({ path: formatPath(keys), message: `still has ${REDACTED} and the file has no secret there: send the value itself` });
    }
    cuts.push({ start: node.start, end: node.end, put: current.slice(original.node.start, original.node.end) });
  }
  if (keysOf(next.value).some(({ name }) => name.includes(REDACTED)))
    return err({ path: '', message: `a key still has ${REDACTED} in it: send its name` });
  // Comments that look alike once their secrets are out go back in the order in which they stand.
  const comments = Map.groupBy(now.value.tokens, (token) => redactComment(token.text, redactor));
  for (const token of next.value.tokens) {
    if (!token.text.includes(REDACTED)) continue;
    const original = comments.get(token.text)?.shift();
    if (original === undefined) return err({ path: '', message: `a comment with ${REDACTED} was changed: take the mark out of it` });
    cuts.push({ start: token.start, end: token.end, put: original.text });
  }
  return ok(spliceAll(submitted, cuts));
}

interface Cut {
  readonly start: number;
  readonly end: number;
  readonly put: string;
}
/** No two of them overlap. */
function spliceAll(text: string, cuts: readonly Cut[]): string {
  const pieces: string[] = [];
  let from = 0;
  for (const { start, end, put } of cuts.toSorted((a, b) => a.start - b.start)) {
    pieces.push(text.slice(from, start), put);
    from = end;
  }
  return pieces.join('') + text.slice(from);
}

interface Step {
  readonly key: string | number;
  /** The list it goes through. */
  readonly list?: DocArray;
}
interface FoundValue {
  readonly node: DocNode;
  readonly keys: KeyPath;
  readonly route: readonly Step[];
  /** The text; of a number, its source. */
  readonly value: string;
  readonly isNumber: boolean;
  /** The text before it in its list. */
  readonly before: string | undefined;
}

// Every text and number of a document, outside of references, with the way to it.
async function values(document: Document, pauses: Pauses): Promise<FoundValue[]> {
  const { text } = document;
  const found: FoundValue[] = [];
  const stack: { node: DocNode; route: readonly Step[]; before?: DocNode | undefined }[] = [{ node: document.root, route: [] }];
  const isText = (node: DocNode): boolean => text[node.start] === '"' || text[node.start] === "'";
  const textOf = (node: DocNode | undefined): string | undefined =>
    node !== undefined && isText(node) ? stringValue(text.slice(node.start, node.end)) : undefined;
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    if (pauses.due()) await pauses.now();
    const { node, route } = item;
    if (node.kind === 'array') {
      const list = node;
      for (const [i, entry] of list.entries.entries())
        stack.push({ node: entry.value, route: [...route, { key: i, list }], before: list.entries[i - 1]?.value });
    } else if (node.kind === 'object') {
      if (node.entries.length <= 3 && entryOf(node, 'source') !== undefined) {
        const reference = Object.fromEntries(node.entries.map((entry) => [entry.key, textOf(entry.value)]));
        if (isReference(reference)) continue;
      }
      for (const entry of node.entries) stack.push({ node: entry.value, route: [...route, { key: entry.key }] });
    } else {
      const value = textOf(node) ?? text.slice(node.start, node.end);
      const isNumber = !isText(node);
      if (isNumber && !/^[+-]?[\d.]/.test(value)) continue;
      found.push({ node, route, keys: route.map((step) => step.key), value, isNumber, before: textOf(item.before) });
    }
  }
  return found;
}

/** Every key of a document and where it stands. */
function keysOf(document: Document): { readonly name: string; readonly start: number; readonly end: number }[] {
  const found: { name: string; start: number; end: number }[] = [];
  const stack: DocNode[] = [document.root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.kind === 'scalar') continue;
    if (node.kind === 'object')
      for (const { key, keyStart, keyEnd } of node.entries) found.push({ name: key, start: keyStart, end: keyEnd });
    for (const entry of node.entries) if (entry.value.kind !== 'scalar') stack.push(entry.value);
  }
  return found;
}

function counterpart(route: readonly Step[], now: Document, next: Document): DocNode | undefined {
  let node: DocNode | undefined = now.root;
  for (const { key, list } of route) {
    if (typeof key === 'string') {
      node = node?.kind === 'object' ? entryOf(node, key)?.value : undefined;
      continue;
    }
    if (node?.kind !== 'array' || list === undefined) return undefined;
    const wanted = nameOf(list.entries[key]?.value, next.text);
    if (wanted !== undefined) node = namesOf(node, now.text).get(wanted) ?? undefined;
    else node = node.entries.length === list.entries.length ? node.entries[key]?.value : undefined;
  }
  return node;
}

/** The entries of a list by their names, once per list; null where two have the same. */
const namesOfList = new WeakMap<DocArray, ReadonlyMap<string, DocNode | null>>();
function namesOf(list: DocArray, text: string): ReadonlyMap<string, DocNode | null> {
  let names = namesOfList.get(list);
  if (names === undefined) {
    const made = new Map<string, DocNode | null>();
    for (const { value } of list.entries) {
      const name = nameOf(value, text);
      if (name !== undefined) made.set(name, made.has(name) ? null : value);
    }
    names = made;
    namesOfList.set(list, made);
  }
  return names;
}

function nameOf(node: DocNode | undefined, text: string): string | undefined {
  if (node?.kind !== 'object') return undefined;
  const value = (entryOf(node, 'id') ?? entryOf(node, 'name'))?.value;
  return value?.kind === 'scalar' ? text.slice(value.start, value.end).replace(/^["']|["']$/g, '') : undefined;
}
