/** What a month of use would cost: counts of tokens times prices, exact, so that a customer can do it again by hand. */
import { PRICE_KINDS, type PriceKind } from './price-change.ts';
import type { Price } from './pricing.ts';

const DAYS = 30;

/** Shares are whole percents, 0 to 100. */
export interface Workload {
  readonly requestsPerDay: number;
  readonly promptTokens: number;
  readonly cachedPercent: number;
  readonly outputTokens: number;
  /** of all requests */
  readonly batchPercent: number;
  /** of those that are no batch */
  readonly offPeakPercent: number;
}

/** What each part of the requests is charged by; null: not sold in that way, so it is charged as `standard`. */
export interface Tariffs<P extends Price> {
  readonly standard: P;
  readonly offPeak: P | null;
  readonly batch: P | null;
}

export type PartName = keyof Tariffs<Price>;

export interface Line {
  readonly kind: PriceKind;
  readonly tokens: bigint;
  readonly nanoUsdPerToken: number;
  /** nano-USD; past 2⁵³ for large workloads */
  readonly nanoUsd: bigint;
}

export interface Part {
  readonly name: PartName;
  readonly requests: number;
  readonly lines: readonly Line[];
}

export interface Estimate {
  readonly requests: number;
  /** parts in which there is a request */
  readonly parts: readonly Part[];
  /** nano-USD in thirty days */
  readonly totalNanoUsd: bigint;
}

/** Parts are whole requests, each rounded to the nearest; cached tokens are rounded within a request. */
export function estimate<P extends Price>(load: Workload, tariffs: Tariffs<P>): Estimate {
  const requests = load.requestsPerDay * DAYS;
  const batch = tariffs.batch === null ? 0 : share(requests, load.batchPercent);
  const offPeak = tariffs.offPeak === null ? 0 : share(requests - batch, load.offPeakPercent);
  const counts: Record<PartName, number> = { standard: requests - batch - offPeak, offPeak, batch };
  const parts = (['standard', 'offPeak', 'batch'] as const)
    .filter((name) => counts[name] > 0)
    .map((name) => ({ name, requests: counts[name], lines: linesOf(load, counts[name], tariffs[name]!) }));
  return { requests, parts, totalNanoUsd: sum(parts.flatMap(({ lines }) => lines)) };
}

/** The same tokens at the list price of somebody else, who sells in one way. */
export function estimateElsewhere(load: Workload, price: Omit<Price, 'id'>): bigint {
  return sum(linesOf(load, load.requestsPerDay * DAYS, price));
}

function linesOf(load: Workload, requests: number, price: Omit<Price, 'id'>): Line[] {
  const cached = share(load.promptTokens, load.cachedPercent);
  const perRequest: Record<PriceKind, number> = {
    cacheHitNanoUsd: cached,
    cacheMissNanoUsd: load.promptTokens - cached,
    outputNanoUsd: load.outputTokens,
  };
  return PRICE_KINDS.map((kind) => {
    const tokens = BigInt(requests) * BigInt(perRequest[kind]);
    return { kind, tokens, nanoUsdPerToken: price[kind], nanoUsd: tokens * BigInt(price[kind]) };
  });
}

function share(whole: number, percent: number): number {
  return Math.round((whole * percent) / 100);
}

function sum(lines: readonly Line[]): bigint {
  return lines.reduce((total, line) => total + line.nanoUsd, 0n);
}
