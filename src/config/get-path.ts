import { err, ok, type Result } from '../lib/result.ts';
import { type KeyPath, parsePath } from './key-path.ts';
import type { ConfigSnapshot, ValueSource } from './load.ts';
import { optionAt } from './lookup.ts';
import type { Redactor } from './redactor.ts';
import { isSensitive } from './secret-places.ts';
import { valueAt } from './tree.ts';

export interface FoundValue {
  readonly keys: KeyPath;
  /** Secrets replaced. */
  readonly shown: unknown;
  /** As it is. Holds secrets. */
  readonly value: unknown;
  readonly source: ValueSource;
  readonly sensitive: boolean;
  /** One line about the option; undefined for keys that this version does not know. */
  readonly doc: string | undefined;
}

/**
 * What holds at a path: flags, environment, file and defaults taken together. Keys that this version does not know come
 * from the file.
 *
 * @returns an error text for people: a path that cannot be read
 */
export function getPath(snapshot: ConfigSnapshot, path: string, redactor: Redactor): Result<FoundValue | undefined, string> {
  const keys = parsePath(path);
  if (!keys.ok) return err(keys.error);
  const effective = valueAt(snapshot.config, keys.value);
  const value = effective === undefined ? valueAt(snapshot.resolved, keys.value) : effective;
  if (value === undefined) return ok(undefined);
  return ok({
    keys: keys.value,
    value,
    shown: redactor.tree(value, keys.value),
    source: snapshot.sourceOf(path),
    sensitive: isSensitive(keys.value),
    doc: optionAt(keys.value)?.spec.doc,
  });
}
