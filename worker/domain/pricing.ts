/** Dated prices: which row is in force at an instant, and what usage costs under it. */
import { chargeNanoUsd, type TokenPrice } from '../../gpu-pool/protocol/charge.ts';
import { type NanoUsd, nanoUsd } from './money.ts';
import { toNodeUsage, type Usage } from './usage.ts';

/** Prices in integer nano-USD per token. `id` is the price version that a charge names. */
export interface Price {
  readonly id: string;
  readonly cacheHitNanoUsd: number;
  readonly cacheMissNanoUsd: number;
  readonly outputNanoUsd: number;
}

/** standard: answered at once; batch: answered within a day, on nodes that would be idle */
export const TARIFFS = ['standard', 'batch'] as const;
export type Tariff = (typeof TARIFFS)[number];

export interface DatedPrice extends Price {
  readonly tariff: Tariff;
  readonly fromMs: number;
  /** Exclusive; null: open-ended. */
  readonly toMs: number | null;
  /** Minutes after midnight UTC, end exclusive; the window may wrap around midnight. Null: all day. */
  readonly dailyFromMinute: number | null;
  readonly dailyToMinute: number | null;
}

const MINUTES_PER_DAY = 1_440;

/** The price of a tariff in force at `atMs`: a daily window wins over an all-day row, then the row that began last. */
export function priceAt(prices: readonly DatedPrice[], tariff: Tariff, atMs: number): DatedPrice | null {
  const minute = Math.floor(atMs / 60_000) % MINUTES_PER_DAY;
  const inForce = prices.filter(
    (price) =>
      price.tariff === tariff &&
      price.fromMs <= atMs &&
      (price.toMs === null || atMs < price.toMs) &&
      inWindow(price, minute),
  );
  const rank = (price: DatedPrice) => (price.dailyFromMinute === null ? 0 : 1);
  return inForce.sort((a, b) => rank(b) - rank(a) || b.fromMs - a.fromMs)[0] ?? null;
}

function inWindow({ dailyFromMinute: from, dailyToMinute: to }: DatedPrice, minute: number): boolean {
  if (from === null || to === null) return true;
  return from <= to ? from <= minute && minute < to : minute >= from || minute < to;
}

/** The price as agents get it. */
export function toTokenPrice({ cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd }: Price): TokenPrice {
  return { cache_hit: cacheHitNanoUsd, cache_miss: cacheMissNanoUsd, output: outputNanoUsd };
}

/** The charge for usage, exactly. */
export function chargeFor(usage: Usage, price: Price): NanoUsd {
  return nanoUsd(chargeNanoUsd(toNodeUsage(usage), toTokenPrice(price)));
}
