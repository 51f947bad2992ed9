/** Statistics over rounds: the median and the range. */

export interface Rounds {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly values: readonly number[];
}

/** @returns null when a value is not known */
export function overRounds(values: readonly (number | null)[]): Rounds | null {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  if (known.length < values.length || known.length === 0) return null;
  return { median: median(known), min: Math.min(...known), max: Math.max(...known), values: known };
}

/** The median of the ratios within each round, which a disturbance of a whole round leaves as it is. */
export function ratioOf(own: Rounds | null | undefined, other: Rounds | null | undefined): number | null {
  if (!own || !other || own.values.length !== other.values.length) return null;
  const ratios = own.values.map((value, round) => value / other.values[round]!);
  return ratios.every(Number.isFinite) ? median(ratios) : null;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
