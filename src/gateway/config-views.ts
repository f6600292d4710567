import { type ConfigView, configView, MAX_VIEW_CHARS } from '../config/config-view.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import { ok } from '../lib/result.ts';

/**
 * The answer of `config.get`, made once per config and set of secrets: however many ask at once, it is worked out for the first.
 * undefined where it would be larger than an answer may be.
 */
export function configViews(current: () => { readonly snapshot: ConfigSnapshot; readonly secrets: readonly string[] }) {
  let made: { readonly snapshot: ConfigSnapshot; readonly secrets: string; readonly view: Promise<ConfigView | undefined> } | undefined;
  return (): Promise<ConfigView | undefined> => {
    const { snapshot, secrets } = current();
    const key = secrets.join('\n');
    if (made?.snapshot === snapshot && made.secrets === key) return made.view;
    const isLarge = snapshot.raw.length > MAX_VIEW_CHARS || weight(snapshot.resolved) > MAX_VIEW_CHARS;
    const view = isLarge ? Promise.resolve(undefined) : configView(ok(snapshot), secrets);
    made = { snapshot, secrets: key, view };
    // The next one asks anew.
    view.catch(() => {
      made = undefined;
    });
    return view;
  };
}

/** Characters of all texts of a tree, which variables and includes may have made longer than the file. */
function weight(root: unknown): number {
  let chars = 0;
  const stack: unknown[] = [root];
  while (stack.length > 0 && chars <= MAX_VIEW_CHARS) {
    const value = stack.pop();
    if (typeof value === 'string') chars += value.length;
    else if (typeof value === 'object' && value !== null)
      for (const [key, child] of Object.entries(value)) {
        chars += key.length + 4;
        stack.push(child);
      }
  }
  return chars;
}
