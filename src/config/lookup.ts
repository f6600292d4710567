import type { KeyPath } from './key-path.ts';
import { CONFIG } from './options.ts';
import type { Reload, Spec } from './spec.ts';

/** An option of the table with what it inherits from those above it. */
export interface Option {
  readonly spec: Spec;
  readonly reload: Reload;
  readonly guard: boolean;
  readonly sensitive: boolean;
}

/** The deepest option of the table on the way to a place, and how many keys of the way lead to it. */
export function deepestOption(keys: KeyPath): { readonly option: Option; readonly depth: number } {
  let spec: Spec = CONFIG;
  let reload: Reload = CONFIG.reload ?? 'restart';
  let guard = false;
  let sensitive = false;
  let depth = 0;
  for (const key of keys) {
    const next = child(spec, key);
    if (next === undefined) break;
    depth++;
    spec = next;
    reload = spec.reload ?? reload;
    guard ||= spec.guard === true;
    sensitive ||= spec.sensitive === true;
  }
  return { option: { spec, reload, guard, sensitive }, depth };
}

/**
 * The option at a place of the file. Of an `either`, the choice that knows the next key.
 * @returns undefined for a key that the table does not know, and below `open` objects
 */
export function optionAt(keys: KeyPath): Option | undefined {
  const { option, depth } = deepestOption(keys);
  return depth === keys.length ? option : undefined;
}

/** What a change at this place asks for; an unknown key counts like the nearest known one above it. */
export const reloadAt = (keys: KeyPath): Reload => deepestOption(keys).option.reload;

function child(spec: Spec, key: string | number): Spec | undefined {
  if (spec.kind === 'either') {
    for (const choice of spec.choices ?? []) {
      const found = child(choice, key);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (spec.kind === 'list') return typeof key === 'number' ? spec.of : undefined;
  if (typeof key === 'number') return undefined;
  if (spec.kind === 'map') return spec.of;
  const fields = spec.fields;
  return fields !== undefined && Object.hasOwn(fields, key) ? fields[key] : spec.rest;
}

interface SpecialOptions {
  /** Options that a variable beats. */
  readonly env: readonly { readonly keys: readonly string[]; readonly spec: Spec }[];
  /** Options that stand for another. */
  readonly aliases: readonly { readonly keys: readonly string[]; readonly target: readonly string[] }[];
}
let special: SpecialOptions | undefined;

/** The few options that need more than their own place. Found once, in one walk: every command pays for it. */
export function specialOptions(): SpecialOptions {
  if (special !== undefined) return special;
  const env: SpecialOptions['env'][number][] = [];
  const aliases: SpecialOptions['aliases'][number][] = [];
  const way: string[] = [];
  const walk = (fields: Readonly<Record<string, Spec>>): void => {
    for (const key in fields) {
      const spec = fields[key] as Spec;
      way.push(key);
      if (spec.env !== undefined) env.push({ keys: [...way], spec });
      if (spec.aliasOf !== undefined) aliases.push({ keys: [...way], target: spec.aliasOf.split('.') });
      if (spec.fields !== undefined) walk(spec.fields);
      way.pop();
    }
  };
  walk(CONFIG.fields ?? {});
  special = { env, aliases };
  return special;
}

export interface ListedOption extends Option {
  /** `models.providers.*.apiKey`, `agents.list[].id` */
  readonly path: string;
}

/** Every option of the table in its order, objects before what is in them. For schema, help and docs. */
export function allOptions(): readonly ListedOption[] {
  const listed: ListedOption[] = [];
  const walk = (spec: Spec, path: string, above: Omit<Option, 'spec'>): void => {
    const option = {
      spec,
      reload: spec.reload ?? above.reload,
      guard: above.guard || spec.guard === true,
      sensitive: above.sensitive || spec.sensitive === true,
    };
    if (path !== '') listed.push({ path, ...option });
    for (const [key, field] of Object.entries(spec.fields ?? {})) walk(field, path === '' ? key : `${path}.${key}`, option);
    // A list of plain values is said by the list itself.
    const inner = spec.of;
    if (inner !== undefined && (inner.fields !== undefined || spec.kind === 'map'))
      walk(inner, spec.kind === 'map' ? `${path}.*` : `${path}[]`, option);
    for (const choice of spec.choices ?? [])
      for (const [key, field] of Object.entries(choice.fields ?? {})) walk(field, `${path}.${key}`, option);
  };
  walk(CONFIG, '', { reload: 'restart', guard: false, sensitive: false });
  return listed;
}
