/** One line of the report. `ratio` is value to floor, both of this run; a machine is noisy, the ratio of one run less so. */
export interface Row {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  /** The same work by bare means, measured in this run. */
  readonly floor?: number;
  readonly ratio?: number;
  /** What performance asks for, e.g. `≤ 3 ms`. */
  readonly budget: string;
}

export const median = (values: readonly number[]): number => percentile(values, 0.5);
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}
export const round = (value: number): number => Number(value.toPrecision(3));
