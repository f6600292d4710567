import { err, ok, type Result } from '../lib/result.ts';

/** A place in the config: names of keys, and indices of lists. */
export type KeyPath = readonly (string | number)[];

/** Keys that reach into JavaScript itself; refused wherever keys come from outside. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

const PLAIN = /^[A-Za-z_$][A-Za-z0-9_$-]*$/;
const MAX_SEGMENTS = 64;

/**
 * Reads `agents.list[0].id`, `models.providers["my provider"].apiKey`, `agents.defaults.models['a/b'].alias`.
 * A segment between dots may hold anything but dots, brackets and quotes (`models.providers.local/1` too); digits
 * between dots are a key, digits in brackets an index.
 *
 * @returns an error text for people
 */
export function parsePath(text: string): Result<KeyPath, string> {
  const keys: (string | number)[] = [];
  let at = 0;
  while (at < text.length || keys.length === 0) {
    if (keys.length >= MAX_SEGMENTS) return err(`A path has at most ${MAX_SEGMENTS} parts.`);
    if (text[at] === '[') {
      const index = /\[(\d{1,6})\]/y;
      const quoted = /\[("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\]/y;
      index.lastIndex = at;
      quoted.lastIndex = at;
      const number = index.exec(text);
      const name = number === null ? quoted.exec(text) : null;
      if (number !== null) {
        keys.push(Number(number[1]));
        at = index.lastIndex;
      } else if (name?.[1] !== undefined) {
        keys.push(unquote(name[1]));
        at = quoted.lastIndex;
      } else return err(`Unclear "[" at character ${at + 1}: write [0] or ["name"].`);
    } else {
      if (keys.length > 0) {
        if (text[at] !== '.') return err(`Unclear ${JSON.stringify(text[at])} at character ${at + 1}: parts are separated by dots.`);
        at++;
      }
      const plain = /[^.[\]"']+/y;
      plain.lastIndex = at;
      const name = plain.exec(text)?.[0];
      if (name === undefined)
        return err(at >= text.length ? 'The path is empty or ends with a dot.' : `A name is missing at character ${at + 1}.`);
      keys.push(name);
      at = plain.lastIndex;
    }
    const last = keys.at(-1);
    if (typeof last === 'string' && FORBIDDEN_KEYS.has(last)) return err(`"${last}" is not allowed as a key.`);
  }
  return ok(keys);
}

/** The text that `parsePath` reads back as the same path. */
export function formatPath(keys: KeyPath): string {
  let text = '';
  for (const key of keys) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (PLAIN.test(key)) text += text === '' ? key : `.${key}`;
    else text += `["${key.replace(/["\\]/g, '\\$&')}"]`;
  }
  return text;
}

const unquote = (quoted: string): string => quoted.slice(1, -1).replace(/\\([\s\S])/g, '$1');
