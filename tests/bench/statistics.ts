/** Statistics over rounds: the median and the range. */

export interface Rounds {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @returns null when a value is not known */
export function overRounds(values: readonly (number | null)[]): Rounds | null {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  if (known.length < values.length || known.length === 0) return null;
  return { median: median(known), min: Math.min(...known), max: Math.max(...known) };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
