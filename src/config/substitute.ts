import { isRecord } from '../lib/json.ts';
import type { Env } from './env.ts';
import { formatPath, type KeyPath } from './key-path.ts';

// `$${NAME}` first: it stands for the text `${NAME}` itself.
const REFERENCE = /\$(\$\{[A-Z_][A-Z0-9_]*\})|\$\{([A-Z_][A-Z0-9_]*)\}/g;

/** A `${NAME}` that stayed in a value because the variable is unset or empty. */
export interface Missing {
  readonly path: string;
  readonly name: string;
}

/** Puts variables into one text. What a variable holds is not looked at again. */
export function substituteText(text: string, env: Env, missing: (name: string) => void): string {
  if (!text.includes('${')) return text;
  return text.replace(REFERENCE, (whole, escaped: string | undefined, name: string | undefined) => {
    if (escaped !== undefined || name === undefined) return escaped ?? whole;
    const value = env[name];
    if (value !== undefined && value !== '') return value;
    missing(name);
    return whole;
  });
}

/** Puts variables into every string of a tree; keys stay. Unset ones are listed and stay as they are. */
export function substitute(tree: unknown, env: Env): { readonly value: unknown; readonly missing: readonly Missing[] } {
  const missing: Missing[] = [];
  const walk = (value: unknown, keys: KeyPath): unknown => {
    if (typeof value === 'string') return substituteText(value, env, (name) => missing.push({ path: formatPath(keys), name }));
    if (Array.isArray(value)) return value.map((item, i) => walk(item, [...keys, i]));
    if (!isRecord(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, [...keys, key])]));
  };
  return { value: walk(tree, []), missing };
}

/** Whether a text still holds a `${NAME}`: such a value is never a credential. */
export const hasPlaceholder = (text: string): boolean => /\$\{[A-Z_][A-Z0-9_]*\}/.test(text);
