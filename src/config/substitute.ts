import { isRecord } from '../lib/json.ts';
import { Pauses } from './breathe.ts';
import type { Env } from './env.ts';
import { formatPath, type KeyPath } from './key-path.ts';

// `$${NAME}` first: it stands for the text `${NAME}` itself.
const REFERENCE = /\$(\$\{[A-Z_][A-Z0-9_]{0,255}\})|\$\{([A-Z_][A-Z0-9_]{0,255})\}/g;

/** A `${NAME}` that stayed in a value because the variable is unset or empty. */
export interface Missing {
  readonly path: string;
  readonly name: string;
}

/** What the variables of one config may put into it: a short text that names a long one often would fill the memory. */
export const SUBSTITUTION_LIMITS = { references: 50_000, chars: 5 * 1024 * 1024 } as const;

/** As many unset variables are named one by one. */
const MAX_MISSING = 100;

/** Counts what variables put in. Over the limits the rest stays as it is written, and `isOver` says so. */
export class SubstitutionBudget {
  #references: number = SUBSTITUTION_LIMITS.references;
  #chars: number = SUBSTITUTION_LIMITS.chars;
  isOver = false;

  take(value: string): boolean {
    this.#references--;
    this.#chars -= value.length;
    if (this.#references < 0 || this.#chars < 0) this.isOver = true;
    return !this.isOver;
  }
}

/** Puts variables into one text. What a variable holds is not looked at again. */
export function substituteText(text: string, env: Env, missing: (name: string) => unknown, budget = new SubstitutionBudget()): string {
  if (!text.includes('${')) return text;
  const pieces: string[] = [];
  let from = 0;
  REFERENCE.lastIndex = 0;
  for (let match = REFERENCE.exec(text); match !== null; match = REFERENCE.exec(text)) {
    const [whole, escaped, name = ''] = match;
    let value = escaped ?? env[name];
    if (value === undefined || value === '') {
      missing(name);
      value = whole;
    }
    if (!budget.take(value)) break;
    pieces.push(text.slice(from, match.index), value);
    from = match.index + whole.length;
  }
  pieces.push(text.slice(from));
  return pieces.join('');
}

/** Puts variables into every string of a tree, in slices; keys stay. Unset ones are listed and stay as they are. */
export async function substitute(
  tree: unknown,
  env: Env,
  pauses: Pauses = new Pauses(),
): Promise<{ readonly value: unknown; readonly missing: readonly Missing[]; readonly isOver: boolean }> {
  const missing: Missing[] = [];
  const budget = new SubstitutionBudget();
  const text = (value: string, keys: KeyPath): string =>
    substituteText(value, env, (name) => missing.length < MAX_MISSING && missing.push({ path: formatPath(keys), name }), budget);
  // A copy, filled level by level: a recursion could not be cut into slices without a promise for every value.
  const root: { value: unknown } = { value: tree };
  const work: { holder: Record<string | number, unknown>; keys: (string | number)[] }[] = [];
  const copied = (value: unknown, keys: KeyPath): unknown => {
    if (typeof value === 'string') return text(value, keys);
    if (!Array.isArray(value) && !isRecord(value)) return value;
    const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string | number, unknown>;
    work.push({ holder: copy, keys: [...keys] });
    return copy;
  };
  root.value = copied(tree, []);
  for (let next = work.pop(); next !== undefined && !budget.isOver; next = work.pop()) {
    const { holder, keys } = next;
    if (Array.isArray(holder)) {
      for (let i = 0; i < holder.length; i++) {
        holder[i] = copied(holder[i], [...keys, i]);
        if (pauses.due()) await pauses.now();
      }
      continue;
    }
    for (const key of Object.keys(holder)) {
      holder[key] = copied(holder[key], [...keys, key]);
      if (pauses.due()) await pauses.now();
    }
  }
  return { value: root.value, missing, isOver: budget.isOver };
}

/** Whether a text still holds a `${NAME}`: such a value is never a credential. */
export const hasPlaceholder = (text: string): boolean => /\$\{[A-Z_][A-Z0-9_]{0,255}\}/.test(text);
