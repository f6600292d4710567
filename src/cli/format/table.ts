import { oneLine, pad, width } from './text.ts';

/** Less than this is left of no cell. */
const LEAST_CELL = 12;

/**
 * Rows under headings, in columns as wide as needed. Cells are made safe and cut to 48 columns, but for the first of a row, which is its name and has to be copied whole, and the last, which gets what
 * is left of `room`. The heading is passed through `head` (bold, dim, or nothing).
 */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  head: (text: string) => string,
  room = 160,
): string {
  const last = headings.length - 1;
  const inner = rows.map((row) => headings.slice(0, last).map((_, i) => oneLine(row[i] ?? '', i === 0 ? 96 : 48)));
  const taken = headings
    .slice(0, last)
    .reduce((sum, heading, i) => sum + 2 + Math.max(width(heading), ...inner.map((row) => width(row[i] ?? ''))), 0);
  const cells = inner.map((row, i) => [...row, oneLine(rows[i]?.[last] ?? '', Math.min(160, Math.max(LEAST_CELL, room - taken)))]);
  const widths = headings.map((heading, i) => Math.max(width(heading), ...cells.map((row) => width(row[i] ?? ''))));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : pad(cell, widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [head(line(headings)), ...cells.map(line)].join('\n');
}

/** `name   value` lines with the values in one column. Values are printed as they are: callers make foreign text safe. */
export function pairs(rows: readonly (readonly [name: string, value: string])[], paintName: (text: string) => string): string {
  const columns = Math.max(0, ...rows.map(([name]) => width(name)));
  return rows.map(([name, value]) => `${paintName(pad(name, columns))}  ${value}`).join('\n');
}
