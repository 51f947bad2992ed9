/** Money is an integer of nano-USD (10⁻⁹ USD), branded so that a count of tokens or cents cannot pass for it. */

declare const nano: unique symbol;
export type NanoUsd = number & { readonly [nano]: true };

export const NANO_PER_USD = 1_000_000_000;

/**
 * Brands an integer as nano-USD.
 * @throws RangeError when it is not a safe integer: past 2⁵³ ($9.0 M) sums are no longer exact.
 */
export function nanoUsd(value: number): NanoUsd {
  if (!Number.isSafeInteger(value)) throw new RangeError(`not a safe integer of nano-USD: ${value}`);
  return value as NanoUsd;
}

/** Whole US dollars as nano-USD. */
export function usd(dollars: number): NanoUsd {
  return nanoUsd(dollars * NANO_PER_USD);
}

/** Parses a decimal with a point and up to nine places: `"0.5"` → 500,000,000. The caller must validate its shape. */
export function parseUsd(text: string): NanoUsd {
  const [dollars = '0', fraction = ''] = text.split('.');
  return nanoUsd(Number(dollars) * NANO_PER_USD + Number(fraction.padEnd(9, '0')));
}

/**
 * US dollars as a number, for APIs that have one: the double nearest to the amount. Below a million dollars its digits in
 * JSON are exactly the amount's, since doubles tell any fifteen digits apart: `1234` → `0.000001234`.
 */
export function toUsdNumber(amount: NanoUsd): number {
  return amount / NANO_PER_USD;
}

/** Exact decimal US dollars with at least two places and no rounding: `1234` → `"0.000001234"`. */
export function formatUsd(amount: NanoUsd): string {
  const sign = amount < 0 ? '-' : '';
  const digits = String(Math.abs(amount)).padStart(10, '0');
  const fraction = digits.slice(-9).replace(/0{1,7}$/, '');
  return `${sign}${digits.slice(0, -9)}.${fraction}`;
}
