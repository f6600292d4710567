import type { Line } from './recording.ts';

/** Something that we answer otherwise than the reference did, on purpose. */
export interface Difference {
  /** Which of the two recorded lines; undefined: both. */
  readonly line?: Line;
  /** The methods, events or cases. */
  readonly in: string | RegExp;
  /** Where: a path as `shapeDifferences` prints it, and all below it. */
  readonly at: readonly string[];
  readonly reason: string;
}

/** The differences that are kept. Whatever is not listed fails, and so does what is listed and is none any more. */
export class Differences {
  readonly #list: readonly Difference[];
  readonly #used = new Set<string>();

  constructor(list: readonly Difference[]) {
    this.#list = list;
  }

  /** The lines that nothing in the list explains. */
  unexplained(line: Line, where: string, found: readonly string[]): string[] {
    return found.filter((text) => {
      const path = text.split(' ').at(-1) ?? '';
      for (const [index, entry] of this.#list.entries()) {
        if ((entry.line ?? line) !== line) continue;
        const inside = typeof entry.in === 'string' ? entry.in === where : entry.in.test(where);
        const at = inside && entry.at.find((prefix) => path === prefix || path.startsWith(`${prefix}.`) || path.startsWith(`${prefix}[`));
        if (!at) continue;
        this.#used.add(`${index} ${at}`);
        return false;
      }
      return true;
    });
  }

  /** Entries that explained nothing: they are to be taken out. */
  stale(): string[] {
    return this.#list.flatMap((entry, index) =>
      entry.at.filter((at) => !this.#used.has(`${index} ${at}`)).map((at) => `${entry.line ?? 'both'} ${entry.in}: ${at}`),
    );
  }
}
