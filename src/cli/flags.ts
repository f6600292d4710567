import { usage } from './usage.ts';

/** The flags of one invocation, read by type. A wrong value is wrong usage. */
export class Flags {
  readonly #values: ReadonlyMap<string, readonly string[]>;
  readonly #help: string;

  constructor(values: ReadonlyMap<string, readonly string[]>, help: string) {
    this.#values = values;
    this.#help = help;
  }

  on(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** A whole number within bounds. Throws wrong usage for anything else. */
  int(name: string, bounds: { readonly min: number; readonly max: number }): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= bounds.min && value <= bounds.max) return value;
    throw usage(`--${name} must be a whole number from ${bounds.min} to ${bounds.max}`, this.#help);
  }
}
