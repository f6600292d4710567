import { width } from './text.ts';

const CLOSING = '，。！？；：、）」』】》';
const OPENING = '（「『【《';
/** Behind a space, around characters that need none; never before what closes nor behind what opens. */
const BREAKS = new RegExp(
  `(?<= )|(?<=[${CLOSING}])(?![${CLOSING}])|(?<![${OPENING}])(?=(?![${CLOSING}])[\\u2e80-\\u9fff\\uac00-\\ud7a3\\uff00-\\uff60])`,
);

/** Rows of at most `columns`, broken at spaces where that is possible. The last may be empty: the text ended with a line end. */
export function wrap(text: string, columns: number): string[] {
  const rows: string[] = [];
  for (const line of text.split('\n')) {
    let row = '';
    let rowWidth = 0;
    for (const piece of line.split(BREAKS)) {
      const w = width(piece);
      if (rowWidth + width(piece.trimEnd()) > columns && row !== '') {
        rows.push(row.trimEnd());
        row = '';
        rowWidth = 0;
      }
      if (w <= columns) {
        row += piece;
        rowWidth += w;
        continue;
      }
      // A word longer than the row is cut.
      for (const char of piece) {
        const c = width(char);
        if (rowWidth + c > columns) {
          rows.push(row);
          row = '';
          rowWidth = 0;
        }
        row += char;
        rowWidth += c;
      }
    }
    rows.push(row);
  }
  return rows;
}
