/** Cost estimate for a month of use: exact token counts times prices, so that a customer can check it by hand. */
import { PRICE_KINDS, type PriceKind } from './price-change.ts';
import type { Price } from './pricing.ts';

const DAYS = 30;

/** The workload that is priced. Percentages are whole numbers, 0 to 100. */
export interface Workload {
  readonly requestsPerDay: number;
  readonly promptTokens: number;
  readonly cachedPercent: number;
  readonly outputTokens: number;
  /** The percentage of all requests that run in batches. */
  readonly batchPercent: number;
  /** The percentage of the other requests that run in off-peak hours. */
  readonly offPeakPercent: number;
}

/** The price for each part of the requests; null: not on sale, so that part is charged as `standard`. */
export interface TariffPrices<P extends Price> {
  readonly standard: P;
  readonly offPeak: P | null;
  readonly batch: P | null;
}

export type EstimatePartName = keyof TariffPrices<Price>;

export interface EstimateLine {
  readonly kind: PriceKind;
  readonly tokens: bigint;
  readonly nanoUsdPerToken: number;
  /** Nano-USD; can exceed 2⁵³ for large workloads, hence a bigint. */
  readonly nanoUsd: bigint;
}

export interface EstimatePart {
  readonly name: EstimatePartName;
  readonly requests: number;
  readonly lines: readonly EstimateLine[];
}

export interface Estimate {
  readonly requests: number;
  /** The parts that have at least one request. */
  readonly parts: readonly EstimatePart[];
  /** Nano-USD in thirty days. */
  readonly totalNanoUsd: bigint;
}

/** Estimates thirty days. Each part is rounded to whole requests, and cached tokens to whole tokens within a request. */
export function estimate<P extends Price>(workload: Workload, tariffs: TariffPrices<P>): Estimate {
  const requests = workload.requestsPerDay * DAYS;
  const batch = tariffs.batch === null ? 0 : percentOf(requests, workload.batchPercent);
  const offPeak = tariffs.offPeak === null ? 0 : percentOf(requests - batch, workload.offPeakPercent);
  const counts: Record<EstimatePartName, number> = { standard: requests - batch - offPeak, offPeak, batch };
  const parts = (['standard', 'offPeak', 'batch'] as const)
    .filter((name) => counts[name] > 0)
    .map((name) => ({
      name,
      requests: counts[name],
      lines: linesOf(workload, counts[name], tariffs[name]!),
    }));
  return { requests, parts, totalNanoUsd: sum(parts.flatMap(({ lines }) => lines)) };
}

/** The cost of the same tokens at another provider's list price, which has a single tariff. */
export function estimateAtListPrice(workload: Workload, price: Omit<Price, 'id'>): bigint {
  return sum(linesOf(workload, workload.requestsPerDay * DAYS, price));
}

function linesOf(workload: Workload, requests: number, price: Omit<Price, 'id'>): EstimateLine[] {
  const cached = percentOf(workload.promptTokens, workload.cachedPercent);
  const perRequest: Record<PriceKind, number> = {
    cacheHitNanoUsd: cached,
    cacheMissNanoUsd: workload.promptTokens - cached,
    outputNanoUsd: workload.outputTokens,
  };
  return PRICE_KINDS.map((kind) => {
    const tokens = BigInt(requests) * BigInt(perRequest[kind]);
    return { kind, tokens, nanoUsdPerToken: price[kind], nanoUsd: tokens * BigInt(price[kind]) };
  });
}

function percentOf(whole: number, percent: number): number {
  return Math.round((whole * percent) / 100);
}

function sum(lines: readonly EstimateLine[]): bigint {
  return lines.reduce((total, line) => total + line.nanoUsd, 0n);
}
