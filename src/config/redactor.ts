import { isRecord } from '../lib/json.ts';
import { hideShapes, looksRandom } from '../lib/secret-shapes.ts';
import { hideInUrl, hideInUrls } from '../lib/shown-url.ts';
import type { Pauses } from './breathe.ts';
import type { KeyPath } from './key-path.ts';
import { KnownSecrets } from './known-secrets.ts';
import { isRightText, isSecretInput } from './read.ts';
import { looksSecret, placeOf } from './secret-places.ts';
import { hasPlaceholder } from './substitute.ts';

/** Stands where a secret was; existing clients know it and send it back unchanged. */
export const REDACTED = '__OPENCLAW_REDACTED__';

/** A longer text is not looked through: it is replaced as a whole. */
const MAX_SHOWN_CHARS = 32 * 1024;

const isPlaceholderOnly = (text: string): boolean =>
  hasPlaceholder(text) && text.replace(/\$\{[A-Z_][A-Z0-9_]{0,255}\}/g, '').trim() === '';

// `["--api-key", "…"]`: what follows such a flag in a list of arguments is its value.
const isSecretFlag = (text: unknown): boolean =>
  typeof text === 'string' &&
  /^--?[A-Za-z][\w-]{0,63}$/.test(text) &&
  (looksSecret(text.replace(/^-{1,2}/, '')) || /^-{1,2}(H|header|u|user)$/.test(text));

/** A reference (`{source, id}`) says where a secret is, not what it is. */
export const isReference = (value: Record<string, unknown>): boolean =>
  isSecretInput(value) && Object.keys(value).every((key) => key === 'source' || key === 'provider' || key === 'id');

/**
 * Takes secrets out of a config: by place, by the text of those that are known, and by shape. The same text at the same place gives
 * the same answer, so that what a form sends back can be told from what was changed.
 */
export class Redactor {
  readonly #known: KnownSecrets;
  constructor(known: Iterable<string> = []) {
    this.#known = new KnownSecrets(known);
  }

  /** A text as it may be shown. Blank ones, and a `${NAME}` that only names a variable, are no secrets. `before`: the entry before it in its list. */
  text(text: string, keys: KeyPath, before?: unknown): string {
    if (text.trim() === '' || (text.length <= MAX_SHOWN_CHARS && isPlaceholderOnly(text))) return text;
    if (text.length > MAX_SHOWN_CHARS) return REDACTED;
    const { sensitive, option, url } = placeOf(keys);
    if (sensitive || isSecretFlag(before) || this.#known.has(text)) return REDACTED;
    // A text where something else belongs is none that anybody chose for this place.
    if (option !== undefined && !isRightText(option.spec, text)) return REDACTED;
    if (option?.spec.plain) return this.#known.hide(text, REDACTED);
    const shown = url ? hideInUrl(text, REDACTED) : text;
    if (option === undefined && looksRandom(hideInUrls(shown, REDACTED).replaceAll(REDACTED, ' ').trim()))
      return url && shown !== text ? this.loose(shown, 'any') : REDACTED;
    return this.loose(shown, option === undefined ? 'any' : 'long');
  }

  /** A number as it may be shown: one that stands where a secret belongs is one, unless it counts something. */
  number(source: string, keys: KeyPath): string {
    const { sensitive, option } = placeOf(keys);
    if (!sensitive) return source;
    const name = keys.at(-1);
    return option !== undefined || (/\d{4}/.test(source) && !/tokens$/i.test(String(name))) ? REDACTED : source;
  }

  /** A text of which nobody knows what it is: a comment, a message, an entry of an unknown list. */
  loose(text: string, sure: 'any' | 'long' = 'any'): string {
    if (text.length > MAX_SHOWN_CHARS) return REDACTED;
    const flags = hideInUrls(this.#known.hide(text, REDACTED), REDACTED).replace(
      /(^|\s)(--?[a-z][\w-]{0,63})=([^\s"']+)/gi,
      (whole, gap: string, flag: string) => (isSecretFlag(flag) ? `${gap}${flag}=${REDACTED}` : whole),
    );
    const shaped = hideShapes(hidePairs(flags), REDACTED);
    return shaped.replace(/[A-Za-z0-9+/=_.~%-]{8,}/g, (word) => {
      if (word.includes(REDACTED)) return word;
      return looksRandom(word, sure) ? REDACTED : word;
    });
  }

  /** A copy of a config tree. References say where a secret is, and stay. */
  tree(value: unknown, keys: KeyPath = [], before?: unknown): unknown {
    if (typeof value === 'string') return this.text(value, keys, before);
    if (typeof value === 'number') return this.number(String(value), keys) === REDACTED ? REDACTED : value;
    if (Array.isArray(value)) return value.map((item, i) => this.tree(item, [...keys, i], value[i - 1]));
    if (!isRecord(value)) return value;
    if (isReference(value)) return { ...value };
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.key(key), this.tree(item, [...keys, key])]));
  }

  /** The same in slices. */
  async treeInSlices(root: unknown, pauses: Pauses): Promise<unknown> {
    const walk = async (value: unknown, keys: KeyPath): Promise<unknown> => {
      if (pauses.due()) await pauses.now();
      if (!isRecord(value) || isReference(value)) return this.tree(value, keys);
      const entries: [string, unknown][] = [];
      for (const [key, item] of Object.entries(value)) {
        const at = [...keys, key];
        if (pauses.due()) await pauses.now();
        if (isRecord(item)) entries.push([this.key(key), await walk(item, at)]);
        else if (Array.isArray(item)) {
          const items: unknown[] = [];
          for (const [i, one] of item.entries()) {
            if (pauses.due()) await pauses.now();
            items.push(isRecord(one) ? await walk(one, [...at, i]) : this.tree(one, [...at, i], item[i - 1]));
          }
          entries.push([this.key(key), items]);
        } else entries.push([this.key(key), this.tree(item, at)]);
      }
      return Object.fromEntries(entries);
    };
    return walk(root, []);
  }

  /** Names are chosen by people, and now and then a secret slips into one. */
  key(name: string): string {
    return name.length < 12 || name.length > 256 ? name : hideShapes(this.#known.hide(name, REDACTED), REDACTED);
  }
}

// `token: "abc"`, `X-Api-Key: abc`, `password=abc`: in comments, headers and arguments. The name is looked for from the sign backwards.
function hidePairs(text: string): string {
  return text.replace(/[:=]\s{0,8}("[^"\n]*"|'[^'\n]*'|[^\s,;}\])"']+)/g, (whole, value: string, at: number) => {
    const name = nameBefore(text, at);
    if (name === '' || !looksSecret(name)) return whole;
    const mark = value.startsWith('"') || value.startsWith("'") ? value.charAt(0) : '';
    const inner = mark === '' ? value : value.slice(1, -1);
    if (inner === '' || inner.includes(REDACTED) || /^(true|false|null|\d{1,3})$/.test(inner) || isPlaceholderOnly(inner)) return whole;
    return `${whole.slice(0, whole.length - value.length)}${mark}${REDACTED}${mark}`;
  });
}

function nameBefore(text: string, at: number): string {
  let end = at;
  while (end > 0 && at - end < 8 && /\s/.test(text.charAt(end - 1))) end--;
  if (/["']/.test(text.charAt(end - 1))) end--;
  let start = end;
  while (start > 0 && end - start < 64 && /[\w-]/.test(text.charAt(start - 1))) start--;
  return text.slice(start, end).replace(/^-{1,2}/, '');
}

/** The texts of a tree that are secrets, by their place, and what of them is one by itself: the token of a header, the parts of a URL. */
export async function secretsOf(root: unknown, pauses: Pauses): Promise<string[]> {
  const found: string[] = [];
  const stack: { value: unknown; keys: KeyPath; before?: unknown }[] = [{ value: root, keys: [] }];
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { value, keys } = item;
    if (pauses.due()) await pauses.now();
    if (typeof value === 'string') {
      if (value.trim() === '' || value.length > MAX_SHOWN_CHARS || isPlaceholderOnly(value)) continue;
      const isUrl = value.includes('://');
      if (isSecretFlag(item.before) || placeOf(keys).sensitive) found.push(value.trim(), ...value.trim().split(/\s+/).slice(1));
      if (isUrl) found.push(...partsOf(value));
    } else if (Array.isArray(value)) {
      for (const [i, entry] of value.entries()) stack.push({ value: entry, keys: [...keys, i], before: value[i - 1] });
    } else if (isRecord(value) && !isReference(value)) {
      for (const key of Object.keys(value)) stack.push({ value: value[key], keys: [...keys, key] });
    }
  }
  return found;
}

/** What of a URL is secret: password, or a user alone; values of the query and the fragment. */
function partsOf(text: string): string[] {
  const url = URL.parse(text.trim());
  if (url === null) return [];
  const plain = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  const user = url.password === '' ? [url.username] : [url.password];
  const rest = `${url.search.slice(1)}&${url.hash.slice(1)}`.split('&').map((pair) => pair.slice(pair.indexOf('=') + 1));
  return [...user, ...rest].flatMap((part) => (part.length < 6 ? [] : [part, plain(part)]));
}
