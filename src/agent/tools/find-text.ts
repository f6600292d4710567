import { turn } from '../../lib/turn.ts';

/** Units of text that are compared in one turn of the event loop: some 3 ms. */
const SLICE = 256 * 1024;

/**
 * Where `wanted` (not empty) occurs in `text`, from the left, without overlaps; `take` gets each place and says whether to go on. In
 * time proportional to both lengths whatever they hold (Knuth, Morris and Pratt): the engine's own search is not, and a file and a model
 * would choose both.
 */
export async function findText(text: string, wanted: string, take: (at: number) => boolean): Promise<void> {
  const length = wanted.length;
  if (length === 0 || length > text.length) return;
  // `border[i]`: length of the longest proper beginning of wanted[0..i] that is also its end.
  const border = new Int32Array(length);
  for (let i = 1, matched = 0, work = 0; i < length; i++) {
    while (matched > 0 && wanted.charCodeAt(i) !== wanted.charCodeAt(matched)) matched = border[matched - 1] as number;
    if (wanted.charCodeAt(i) === wanted.charCodeAt(matched)) matched++;
    border[i] = matched;
    if (++work % SLICE === 0) await turn();
  }
  for (let i = 0, matched = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    while (matched > 0 && unit !== wanted.charCodeAt(matched)) matched = border[matched - 1] as number;
    if (unit === wanted.charCodeAt(matched)) matched++;
    if (matched === length) {
      if (!take(i + 1 - length)) return;
      matched = 0;
    }
    if ((i + 1) % SLICE === 0) await turn();
  }
}
