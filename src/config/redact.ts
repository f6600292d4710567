import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { type DocArray, type DocNode, type Document, entryOf, parseDocument } from './document.ts';
import { formatPath, type KeyPath } from './key-path.ts';
import type { ConfigProblem, ConfigSnapshot, Tree } from './load.ts';
import { optionAt } from './lookup.ts';
import type { ConfigIssue, ConfigWarning } from './read.ts';
import { isSecretInput } from './read.ts';
import { hasPlaceholder } from './substitute.ts';

/** Stands where a secret was; existing clients know it and send it back unchanged. */
export const REDACTED = '__OPENCLAW_REDACTED__';

// Names of keys that the table does not know. `maxTokens` and `userHeader` are no secrets; numbers never are.
const SECRET_NAME =
  /(^|[a-z_-])(token|password|passwd|passphrase|secret|credentials?|cookie|authorization|bearer|signature|webhookurl)s?$|(api|private|access|signing|encryption|service|account|auth|bot|app|secret)[_-]?key(s|base64|id|file)?$|^key$|^(pwd|pass|auth|dsn)$|secret|password|apikey|privatekey/i;
const COUNT_NAME = /^(max|min|context|total|input|output|prompt|completion|reserve|keep|budget|num|target)[a-z_-]*tokens?([A-Z_].*)?$/i;
// Nobody names a setting at such length; what it is is not worth a regular expression's time.
const looksSecret = (name: string): boolean => name.length > 200 || (SECRET_NAME.test(name) && !COUNT_NAME.test(name));

/** Whether a text at this place is a secret: by the table, and where it knows nothing, by the names on the way. */
export function isSensitive(keys: KeyPath): boolean {
  const option = optionAt(keys);
  if (option !== undefined && option.spec.kind !== 'open') return option.sensitive;
  for (let length = keys.length; length > 0; length--) {
    const above = optionAt(keys.slice(0, length));
    if (above !== undefined && above.spec.kind !== 'open') return above.sensitive;
    const name = keys[length - 1];
    if (typeof name === 'string' && looksSecret(name)) return true;
  }
  return false;
}

// Credentials inside a text that is no secret as a whole: URLs with a user part, or with a key in their query.
function redactWithin(text: string): string {
  return text
    .replace(/\b((?!ssh:)[a-z][a-z0-9+.-]{0,30}:\/\/)[^/?#\s@"']+@/gi, `$1${REDACTED}@`)
    .replace(/\b(ssh:\/\/[^/?#\s@:"']+):[^/?#\s@"']+@/gi, `$1:${REDACTED}@`)
    .replace(/([?&#](?:[a-z_-]*token|key|api_?key|password|secret|sig|signature)=)[^&#\s"']+/gi, `$1${REDACTED}`)
    .replace(/(^|\s)(--?[a-z][\w-]{0,63})=([^\s"']+)/gi, (whole, gap: string, flag: string) =>
      isSecretFlag(flag) ? `${gap}${flag}=${REDACTED}` : whole,
    );
}

// `["--api-key", "…"]`: what follows such a flag in a list of arguments is its value.
const isSecretFlag = (text: unknown): boolean =>
  typeof text === 'string' && /^--?[A-Za-z][\w-]{0,63}$/.test(text) && looksSecret(text.replace(/^-+/, ''));

/** A text as it may be shown. Blank ones, and a `${NAME}` that only names a variable, are no secrets. `before`: the entry before it in its list. */
export function redactText(text: string, keys: KeyPath, before?: unknown): string {
  if (!isSensitive(keys) && !isSecretFlag(before)) return redactWithin(text);
  return text.trim() === '' || isPlaceholderOnly(text) ? text : REDACTED;
}

const isPlaceholderOnly = (text: string): boolean => hasPlaceholder(text) && text.replace(/\$\{[A-Z_][A-Z0-9_]*\}/g, '').trim() === '';

/** A copy of a config tree, secrets replaced. References (`{source, id}`) say where a secret is, not what it is, and stay. */
export function redactTree(value: unknown, keys: KeyPath = [], before?: unknown): unknown {
  if (typeof value === 'string') return redactText(value, keys, before);
  if (Array.isArray(value)) return value.map((item, i) => redactTree(item, [...keys, i], value[i - 1]));
  if (!isRecord(value)) return value;
  if (isReference(value)) return { ...value };
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactTree(item, [...keys, key])]));
}

const isReference = (value: Record<string, unknown>): boolean =>
  isSecretInput(value) && Object.keys(value).every((key) => key === 'source' || key === 'provider' || key === 'id');

/** The text of the file with every secret replaced, in values and in comments, and nothing else changed. `''` where that cannot be done. */
export async function redactRaw(raw: string): Promise<string> {
  if (raw === '') return '';
  const document = await parseDocument(raw);
  if (!document.ok) return '';
  const cuts: Cut[] = [];
  for (const { node, keys, value, before } of await strings(document.value)) {
    const shown = redactText(value, keys, before);
    if (shown !== value) cuts.push({ start: node.start, end: node.end, put: JSON.stringify(shown) });
  }
  for (const token of document.value.tokens) {
    if (token.type !== 'comment') continue;
    const shown = redactComment(token.text);
    if (shown !== token.text) cuts.push({ start: token.start, end: token.end, put: shown });
  }
  return spliceAll(raw, cuts);
}

// `// token: "abc"`: a line that was commented out still holds its secret.
const redactComment = (text: string): string =>
  redactWithin(text).replace(
    /(["']?)\b([A-Za-z_][\w-]{0,63})\1(\s{0,8}[:=]\s{0,8})("[^"\n]*"|'[^'\n]*'|[^\s,;}\])]+)/g,
    (whole, quote: string, name: string, sign: string, value: string) => {
      if (
        !looksSecret(name) ||
        /^["']?["']?$/.test(value) ||
        /^(true|false|null|\d+)$/.test(value) ||
        isPlaceholderOnly(value.replace(/^["']|["']$/g, ''))
      )
        return whole;
      const mark = /^["']/.exec(value)?.[0] ?? '';
      return `${quote}${name}${quote}${sign}${mark}${REDACTED}${mark}`;
    },
  );

/**
 * Puts the secrets of `current` back where `submitted` has the mark: at the same place; in lists, at the entry of the same
 * `id` or `name`, else at the same index of a list of the same length. Where it is not clear which secret is meant, the
 * whole text is refused: a guess could give one service the key of another.
 */
export async function restoreRedacted(
  submitted: string,
  current: string,
): Promise<Result<string, { readonly path: string; readonly message: string }>> {
  if (!submitted.includes(REDACTED)) return ok(submitted);
  const next = await parseDocument(submitted);
  // Not JSON5: the judgement of the whole text says what is wrong with it.
  if (!next.ok) return ok(submitted);
  const now = await parseDocument(current === '' ? '{}' : current);
  if (!now.ok) return err({ path: '', message: 'the file on disk cannot be read, so its secrets cannot be kept: send them in full' });
  const cuts: Cut[] = [];
  const originals = new Map((await strings(now.value)).map((found) => [found.node as DocNode, found]));
  for (const { node, value, route } of await strings(next.value)) {
    if (!value.includes(REDACTED)) continue;
    const keys = route.map((step) => step.key);
    const original = originals.get(counterpart(route, now.value, next.value) as DocNode);
    if (original === undefined || redactText(original.value, original.keys, original.before) !== value) {
      return err({ path: formatPath(keys), message: `still has ${REDACTED} and the file has no secret there: send the value itself` });
    }
    cuts.push({ start: node.start, end: node.end, put: current.slice(original.node.start, original.node.end) });
  }
  const comments = new Map(
    now.value.tokens.filter((token) => token.type === 'comment').map((token) => [redactComment(token.text), token.text]),
  );
  for (const token of next.value.tokens) {
    if (token.type !== 'comment' || !token.text.includes(REDACTED)) continue;
    const original = comments.get(token.text);
    if (original === undefined) return err({ path: '', message: `a comment with ${REDACTED} was changed: take the mark out of it` });
    cuts.push({ start: token.start, end: token.end, put: original });
  }
  return ok(spliceAll(submitted, cuts));
}

interface Cut {
  readonly start: number;
  readonly end: number;
  readonly put: string;
}
const spliceAll = (text: string, cuts: readonly Cut[]): string =>
  cuts.toSorted((a, b) => b.start - a.start).reduce((rest, cut) => rest.slice(0, cut.start) + cut.put + rest.slice(cut.end), text);

interface Step {
  readonly key: string | number;
  /** The list it goes through. */
  readonly list?: DocArray;
}
interface FoundString {
  readonly node: DocNode;
  readonly keys: KeyPath;
  readonly route: readonly Step[];
  readonly value: string;
  /** The text before it in its list. */
  readonly before: string | undefined;
}

// Every text of a document, outside of references, with the way to it.
async function strings(document: Document): Promise<FoundString[]> {
  const { default: json5 } = await import('json5');
  const found: FoundString[] = [];
  const stack: { node: DocNode; route: readonly Step[]; before?: DocNode | undefined }[] = [{ node: document.root, route: [] }];
  const isText = (node: DocNode): boolean => /^["']/.test(document.text.slice(node.start, node.start + 1));
  const textOf = (node: DocNode | undefined): string | undefined =>
    node !== undefined && isText(node) ? json5.parse(document.text.slice(node.start, node.end)) : undefined;
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { node, route } = item;
    const source = document.text.slice(node.start, node.end);
    if (node.kind === 'array') {
      const list = node;
      list.entries.forEach((entry, i) => {
        stack.push({ node: entry.value, route: [...route, { key: i, list }], before: list.entries[i - 1]?.value });
      });
    } else if (node.kind === 'object') {
      if (node.entries.length <= 3 && entryOf(node, 'source') !== undefined) {
        const value: unknown = json5.parse(source);
        if (isRecord(value) && isReference(value)) continue;
      }
      for (const entry of node.entries) stack.push({ node: entry.value, route: [...route, { key: entry.key }] });
    } else if (isText(node))
      found.push({ node, route, keys: route.map((step) => step.key), value: json5.parse(source), before: textOf(item.before) });
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
    const names = node.entries.map((entry) => nameOf(entry.value, now.text));
    const wanted = nameOf(list.entries[key]?.value, next.text);
    const named = wanted === undefined ? -1 : names.indexOf(wanted);
    if (wanted !== undefined) node = named !== -1 && names.lastIndexOf(wanted) === named ? node.entries[named]?.value : undefined;
    else node = node.entries.length === list.entries.length ? node.entries[key]?.value : undefined;
  }
  return node;
}

function nameOf(node: DocNode | undefined, text: string): string | undefined {
  if (node?.kind !== 'object') return undefined;
  const value = (entryOf(node, 'id') ?? entryOf(node, 'name'))?.value;
  return value?.kind === 'scalar' ? text.slice(value.start, value.end).replace(/^["']|["']$/g, '') : undefined;
}

/** The answer of `config.get`; no secret in it. `config` is without defaults, because forms send it back as the file. */
export interface ConfigView {
  readonly path: string;
  readonly exists: boolean;
  readonly raw: string;
  readonly parsed: unknown;
  readonly resolved: unknown;
  readonly valid: boolean;
  readonly config: unknown;
  readonly hash: string;
  readonly issues: readonly Pick<ConfigIssue, 'path' | 'message'>[];
  readonly warnings: readonly Pick<ConfigWarning, 'path' | 'message'>[];
  readonly legacyIssues: readonly never[];
}

/**
 * A config, or what is wrong with it, as a client may see it. Secrets are taken out by place and then by value, with those of
 * `known` (they may come from elsewhere): people write them into comments and into keys that nobody knows.
 */
export async function configView(result: Result<ConfigSnapshot, ConfigProblem>, known: Iterable<string> = []): Promise<ConfigView> {
  const from = result.ok ? result.value : result.error;
  const parsed: Tree = from.parsed ?? {};
  const full: Tree = result.ok ? result.value.resolved : parsed;
  const secrets = new Set([...known, ...secretsOf(full), ...secretsOf(parsed)].filter((text) => text.length >= MIN_KNOWN));
  const hide = (text: string): string => [...secrets].reduce((rest, secret) => rest.replaceAll(secret, REDACTED), text);
  const shown = (tree: Tree): unknown => mapTexts(redactTree(tree), hide);
  const resolved = shown(full);
  return {
    path: from.paths.configPath,
    exists: result.ok ? result.value.exists : true,
    raw: hide(await redactRaw(from.raw ?? '')),
    parsed: shown(parsed),
    resolved,
    valid: result.ok,
    config: resolved,
    hash: from.hash ?? '',
    issues: from.issues.map(({ path, message }) => ({ path, message: hide(message) })),
    warnings: from.warnings.map(({ path, message }) => ({ path, message: hide(message) })),
    legacyIssues: [],
  };
}

/** A shorter text is too likely to be an ordinary word to be taken out wherever it stands. */
const MIN_KNOWN = 12;

/** The texts of a tree that are secrets as a whole. */
function secretsOf(value: unknown, keys: KeyPath = [], before?: unknown): string[] {
  if (typeof value === 'string') return redactText(value, keys, before) === REDACTED ? [value.trim()] : [];
  if (Array.isArray(value)) return value.flatMap((item, i) => secretsOf(item, [...keys, i], value[i - 1]));
  if (!isRecord(value) || isReference(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => secretsOf(item, [...keys, key]));
}

function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, map));
  return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item, map)])) : value;
}
