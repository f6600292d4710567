import { oneLine, pad, width } from './text.ts';

/**
 * Rows under headings, in columns as wide as needed. Cells are made safe and cut to 48 columns, but for the last of a row. The heading is
 * passed through `head` (bold, dim, or nothing).
 */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], head: (text: string) => string): string {
  const cells = rows.map((row) => headings.map((_, i) => oneLine(row[i] ?? '', i === headings.length - 1 ? 160 : 48)));
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
