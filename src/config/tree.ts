import { isRecord, MAX_JSON_DEPTH } from '../lib/json.ts';
import { FORBIDDEN_KEYS, formatPath, type KeyPath } from './key-path.ts';

/** What is wrong with a tree as such, before anybody asks what it means. */
export interface TreeFlaw {
  readonly path: string;
  readonly message: string;
}

/** Too deep, or a key that reaches into JavaScript itself. Without recursion: the depth is what is being checked. */
export function treeFlaw(root: unknown): TreeFlaw | undefined {
  const stack: { value: unknown; keys: KeyPath }[] = [{ value: root, keys: [] }];
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { value, keys } = item;
    if (typeof value !== 'object' || value === null) continue;
    if (keys.length >= MAX_JSON_DEPTH)
      return { path: formatPath(keys.slice(0, 3)), message: `is nested deeper than ${MAX_JSON_DEPTH} levels` };
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) if (typeof value[i] === 'object') stack.push({ value: value[i], keys: [...keys, i] });
      continue;
    }
    for (const key of Object.keys(value)) {
      if (FORBIDDEN_KEYS.has(key)) return { path: formatPath(keys), message: `has the key "${key}", which is not allowed` };
      const child = (value as Record<string, unknown>)[key];
      if (typeof child === 'object') stack.push({ value: child, keys: [...keys, key] });
    }
  }
  return undefined;
}

/** The value at a place, `undefined` where there is none. Own keys only. */
export function valueAt(root: unknown, keys: KeyPath): unknown {
  let value = root;
  for (const key of keys) {
    if (typeof key === 'number') value = Array.isArray(value) ? value[key] : undefined;
    else value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

/** A copy of `root` with `value` at a place of named keys; everything beside the way is shared. Objects are made where missing. */
export function withValue(root: unknown, keys: readonly string[], value: unknown): Record<string, unknown> {
  const [key, ...rest] = keys;
  const base = isRecord(root) ? root : {};
  if (key === undefined) return base;
  return { ...base, [key]: rest.length === 0 ? value : withValue(base[key], rest, value) };
}

/**
 * A copy of `root` with `value` at a place, or without it where `value` is undefined. Missing objects and lists are made,
 * as an edit of the text makes them; what stands in the way is replaced.
 */
export function treeWith(root: unknown, keys: KeyPath, value: unknown): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  if (typeof key === 'number') {
    const items = Array.isArray(root) ? [...root] : [];
    if (value === undefined && rest.length === 0) items.splice(key, 1);
    else items[key] = treeWith(items[key], rest, value);
    return items;
  }
  const base = isRecord(root) ? { ...root } : {};
  if (value === undefined && rest.length === 0) delete base[key];
  else base[key] = treeWith(Object.hasOwn(base, key) ? base[key] : undefined, rest, value);
  return base;
}

/** Freezes a tree of JSON values, in place. */
export function deepFreeze<T>(root: T): T {
  const stack: unknown[] = [root];
  for (let value = stack.pop(); stack.length > 0 || value !== undefined; value = stack.pop()) {
    if (typeof value !== 'object' || value === null || Object.isFrozen(value)) continue;
    Object.freeze(value);
    for (const child of Object.values(value)) if (typeof child === 'object' && child !== null) stack.push(child);
  }
  return root;
}

/** Equality of JSON values; the order of keys does not matter. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((value, i) => sameJson(value, b[i]));
  if (!isRecord(a) || !isRecord(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]));
}
