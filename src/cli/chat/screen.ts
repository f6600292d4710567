import type { Writer } from '../env.ts';
import { width } from '../format/text.ts';
import { wrap } from '../format/wrap.ts';

const CLEAR_BELOW = '\u001b[J';
const PROMPT = '› ';

/**
 * A terminal in which finished lines scroll away above, and a small live block stays at the bottom: the unfinished line of an answer and
 * the line that is being typed. Only the live block is ever redrawn, so that what scrolled away can be selected and copied.
 */
export class Screen {
  readonly #out: Writer;
  readonly #paintPrompt: (text: string) => string;
  /** The unfinished line of the answer that is being written. */
  #partial = '';
  #busy = '';
  #input = { text: '', column: 0 };
  /** Rows from the first of the live block to where the cursor is. */
  #rowsAbove = 0;

  constructor(out: Writer, paintPrompt: (text: string) => string) {
    this.#out = out;
    this.#paintPrompt = paintPrompt;
  }

  /** Finished lines, broken between words. `paint` gets each row, without a colour code in it, and its number. */
  print(text: string, paint: (row: string, n: number) => string = (row) => row): void {
    this.#draw(() => {
      if (this.#partial !== '') this.#finishPartial();
      for (const [n, row] of wrap(text, Math.max(10, this.#columns)).entries()) this.#out.write(`${paint(row, n)}\n`);
    });
  }

  /** A row of the live block that says that something is under way; empty: nothing is. */
  busy(text: string): void {
    if (text === this.#busy) return;
    this.#draw(() => {
      this.#busy = text;
    });
  }

  /** More of an answer: whole rows are written for good, the rest stays live. */
  stream(text: string): void {
    this.#draw(() => {
      const rows = wrap(this.#partial + text, Math.max(10, this.#columns));
      this.#partial = rows.pop() ?? '';
      for (const row of rows) this.#out.write(`${row}\n`);
    });
  }

  endStream(): void {
    if (this.#partial === '') return;
    this.#draw(() => this.#finishPartial());
  }

  /** The line that is being typed. Line ends in it (of a paste) show as one sign each. */
  input(text: string, column: number): void {
    this.#draw(() => {
      this.#input = { text: text.replaceAll('\n', '⏎').replaceAll('\t', ' '), column };
    });
  }

  /** Takes the live block away; the cursor stands at the start of an empty line. */
  leave(): void {
    this.#erase();
    if (this.#partial !== '') this.#finishPartial();
  }

  get #columns(): number {
    return this.#out.columns;
  }

  #finishPartial(): void {
    this.#out.write(`${this.#partial}\n`);
    this.#partial = '';
  }

  #draw(change: () => void): void {
    this.#erase();
    change();
    const columns = this.#columns;
    // A line that is too long for the row shows the part around the cursor.
    const room = Math.max(4, columns - width(PROMPT) - 1);
    const { text, column } = visible(this.#input, room);
    const above = [this.#partial, this.#busy].filter((row) => row !== '');
    for (const row of above) this.#out.write(`${row}\n`);
    this.#rowsAbove = above.length;
    this.#out.write(`${this.#paintPrompt(PROMPT)}${text}\r\u001b[${width(PROMPT) + column}C`);
  }

  #erase(): void {
    this.#out.write(`\r${this.#rowsAbove > 0 ? `\u001b[${this.#rowsAbove}A` : ''}${CLEAR_BELOW}`);
    this.#rowsAbove = 0;
  }
}

/** The window of a long line that holds the cursor. */
function visible(input: { text: string; column: number }, room: number): { text: string; column: number } {
  if (width(input.text) <= room) return input;
  const start = Math.max(0, input.column - room + 1);
  let skipped = 0;
  let shown = '';
  for (const char of input.text) {
    const w = width(char);
    if (skipped < start) skipped += w;
    else if (width(shown) + w <= room) shown += char;
    else break;
  }
  return { text: shown, column: input.column - skipped };
}
