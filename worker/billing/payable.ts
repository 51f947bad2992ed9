/** Bounds and currency of a single payment, whether a person makes it or a saved card is charged. */
import { usd } from '../domain/money.ts';
import { NANO_PER_CENT } from './provider.ts';

export const CURRENCY = 'USD';
/** Below this a card's fixed fee eats the payment. */
export const TOP_UP_MIN = usd(5);
/** Above this a stolen card or a slip of the keyboard costs too much; larger sums are invoiced. */
export const TOP_UP_MAX = usd(5_000);

/** Whether an amount is whole cents within the bounds. */
export function isPayable(amountNanoUsd: number): boolean {
  return (
    Number.isSafeInteger(amountNanoUsd) &&
    amountNanoUsd % NANO_PER_CENT === 0 &&
    amountNanoUsd >= TOP_UP_MIN &&
    amountNanoUsd <= TOP_UP_MAX
  );
}
