/** Compares a model's price with another provider's list price, kind by kind, whichever of them is lower. */
import { PRICE_KINDS, type PriceKind } from './price-change.ts';

type Prices = Readonly<Record<PriceKind, number>>;

/** A dated list price of another provider. */
export interface DatedReference {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number | null;
}

/**
 * The prices that pages for customers show: those in force, and of what is no longer sold the last one, as ended. One that
 * has not begun is nobody's price yet, and one that was ended before it began never was.
 */
export function shownReferences<R extends DatedReference>(rows: readonly R[], nowMs: number): R[] {
  const begun = rows.filter(({ fromMs, toMs }) => fromMs <= nowMs && (toMs === null || toMs > fromMs));
  const hasEnded = ({ toMs }: R) => toMs !== null && toMs <= nowMs;
  const isReplaced = (row: R) =>
    begun.some((other) => other.name === row.name && other !== row && other.fromMs >= row.fromMs);
  return begun.filter((row) => !hasEnded(row) || !isReplaced(row));
}

export type KindComparison =
  /** `share`: by how much ours is lower, as a fraction of theirs, 0 to 1. */
  | { ours: 'lower'; share: number }
  | { ours: 'same' }
  /** `times`: ours divided by theirs, above 1; infinite where theirs is free. */
  | { ours: 'higher'; times: number };

export type Comparison =
  /** Ours is lower on every kind of token, by at least `share`. */
  | { verdict: 'lower'; share: number }
  /** Theirs is lower or the same on every kind; ours is `times` theirs at most. */
  | { verdict: 'higher'; times: number }
  | { verdict: 'mixed' };

export function compareKind(ours: Prices, theirs: Prices, kind: PriceKind): KindComparison {
  const [own, other] = [ours[kind], theirs[kind]];
  if (own === other) return { ours: 'same' };
  return own < other ? { ours: 'lower', share: 1 - own / other } : { ours: 'higher', times: own / other };
}

export function comparePrices(ours: Prices, theirs: Prices): Comparison {
  const kinds = PRICE_KINDS.map((kind) => compareKind(ours, theirs, kind));
  const shares = kinds.flatMap((each) => (each.ours === 'lower' ? [each.share] : []));
  if (shares.length === kinds.length) return { verdict: 'lower', share: Math.min(...shares) };
  if (shares.length > 0) return { verdict: 'mixed' };
  return {
    verdict: 'higher',
    times: Math.max(...kinds.map((each) => (each.ours === 'higher' ? each.times : 1))),
  };
}
