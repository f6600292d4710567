/** One line of the report. `ratio` is value to floor, both of this run; a machine is noisy, the ratio of one run less so. */
export interface Row {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  /** The same work by bare means, measured in this run. */
  readonly floor?: number;
  readonly ratio?: number;
  /** What is asked for, e.g. `≤ 3 ms` or `≤ 1.8 × node -e 0`. */
  readonly budget: string;
  /** Whether it is kept; absent where nothing is asked. */
  readonly ok?: boolean;
}

export const median = (values: readonly number[]): number => percentile(values, 0.5);
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}
export const round = (value: number): number => Number(value.toPrecision(3));

/** A row whose budget is a ratio to its floor: at most `limit` times for what costs, at least for a rate (`atLeast`). */
export function ratioRow(
  figure: string,
  unit: string,
  value: number,
  floor: number,
  limit: { readonly atMost: number } | { readonly atLeast: number },
  floorName: string,
): Row {
  const ratio = value / floor;
  const [sign, bound, ok] = 'atMost' in limit ? ['≤', limit.atMost, ratio <= limit.atMost] : ['≥', limit.atLeast, ratio >= limit.atLeast];
  return { figure, unit, value: round(value), floor: round(floor), ratio: round(ratio), budget: `${sign} ${bound} × ${floorName}`, ok };
}
