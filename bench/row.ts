/** One line of the report. `ratio` is value to floor, both of this run: a machine is noisy, the ratio of one run less so. */
export interface Row {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  /** The same work by bare means, measured in this run, in the same unit. */
  readonly floor?: number;
  readonly ratio?: number;
  /** What is asked for, e.g. `≤ 3 ms` or `≤ 1.8 × node -e 0`. Empty: shown for orientation. */
  readonly budget: string;
  /** `near`: missed by no more than a tenth, which on a shared machine is noise. Absent where nothing is asked. */
  readonly verdict?: 'ok' | 'near' | 'GAP';
}

/** How long a script may take. `quick` is for a look while changing something: fewer rounds, small crowds. */
export interface BenchOptions {
  readonly quick: boolean;
}

export type Limit = { readonly atMost: number } | { readonly atLeast: number };

export const median = (values: readonly number[]): number => percentile(values, 0.5);
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}
const round = (value: number): number => Number(value.toPrecision(3));

const NOISE = 1.1;

export function verdict(value: number, limit: Limit): 'ok' | 'near' | 'GAP' {
  const excess = 'atMost' in limit ? value / limit.atMost : limit.atLeast / value;
  return excess <= 1 ? 'ok' : excess <= NOISE ? 'near' : 'GAP';
}

const bound = (limit: Limit): string => ('atMost' in limit ? `≤ ${limit.atMost}` : `≥ ${limit.atLeast}`);

/** A row whose budget is a ratio to its floor: at most for what costs, at least for a rate. */
export function ratioRow(figure: string, unit: string, value: number, floor: number, limit: Limit, floorName: string): Row {
  const ratio = value / floor;
  const budget = `${bound(limit)} × ${floorName}`;
  return { figure, unit, value: round(value), floor: round(floor), ratio: round(ratio), budget, verdict: verdict(ratio, limit) };
}

/** A row whose budget is a figure of its own. The floor, where there is one, is for orientation. */
export function valueRow(figure: string, unit: string, value: number, limit?: Limit, floor?: number): Row {
  return {
    figure,
    unit,
    value: round(value),
    ...(floor === undefined ? {} : { floor: round(floor), ratio: round(value / floor) }),
    budget: limit === undefined ? '' : `${bound(limit)} ${unit}`,
    ...(limit === undefined ? {} : { verdict: verdict(value, limit) }),
  };
}
