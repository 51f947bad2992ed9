/** The model that examples and first choices name: what is sold decides, so no name stands in code. */
import { type ModelEnd, onSale } from './model-end.ts';
import type { DatedPrice } from './pricing.ts';

type Sold = Pick<ModelEnd, 'id' | 'endsAtMs'> & { readonly prices: readonly DatedPrice[] };

/** Stands in examples while nothing is sold. */
const NOTHING_SOLD = 'MODEL';

/**
 * The id of the model that has been sold the longest, by id where several began together; one whose end is announced only
 * where there is no other.
 */
export function exampleModelId(models: readonly Sold[], nowMs: number): string {
  const rank = ({ endsAtMs, prices }: Sold) =>
    [endsAtMs === null ? 0 : 1, Math.min(...prices.map(({ fromMs }) => fromMs))] as const;
  const [first] = onSale(models, nowMs).toSorted((a, b) => {
    const [[aEnds, aFrom], [bEnds, bFrom]] = [rank(a), rank(b)];
    return aEnds - bEnds || aFrom - bFrom || a.id.localeCompare(b.id);
  });
  return first?.id ?? NOTHING_SOLD;
}
