/**
 * Margin: what a node earned against what it cost, over past buckets of time, and a plan for a future node. Amounts are
 * exact integers of nano-USD. A division rounds half away from zero; a node's cost is divided once for each bucket.
 */
import { type NanoUsd, nanoUsd } from './money.ts';
import type { Price } from './pricing.ts';

const HOUR_MS = 3_600_000;

/** The hourly cost of a node from an instant on, until the next dated cost. */
export interface DatedCost {
  readonly fromMs: number;
  readonly hourNanoUsd: number;
}

/** A node's work within a span of time. */
export interface NodeWork {
  readonly requests: number;
  readonly completionTokens: number;
  readonly chargeNanoUsd: number;
  /** The part of the charges that granted credit paid. */
  readonly grantedNanoUsd: number;
  /** Tokens that the node counted and no account was billed for, prompt and completion together. */
  readonly writtenOffTokens: number;
}

export interface CostedNode {
  readonly gpus: number;
  /** Output tokens per second that it is expected to reach. */
  readonly capacity: number;
  readonly enrolledAtMs: number;
  /** Null: it is still enrolled. */
  readonly removedAtMs: number | null;
  /** In any order. */
  readonly costs: readonly DatedCost[];
}

/** Sums of one bucket of a node, or of several buckets; every field is additive. */
export interface MarginSums extends NodeWork {
  /** Time that nodes were enrolled, summed over nodes. */
  readonly enrolledMs: number;
  /** The part of `enrolledMs` for which a cost was set, and that cost. */
  readonly coveredMs: number;
  readonly costNanoUsd: number;
  /** Earnings less cost, and GPU time, over those buckets whose cost is completely known. */
  readonly marginNanoUsd: number;
  readonly marginGpuMs: number;
  /** Number of buckets whose cost is not known, or only for part of their time. */
  readonly uncosted: number;
  /** Output tokens that were expected at the nodes' capacity, times a thousand. */
  readonly expectedMilliTokens: number;
}

export const NO_WORK: NodeWork = {
  requests: 0,
  completionTokens: 0,
  chargeNanoUsd: 0,
  grantedNanoUsd: 0,
  writtenOffTokens: 0,
};

const NOTHING: MarginSums = {
  ...NO_WORK,
  enrolledMs: 0,
  coveredMs: 0,
  costNanoUsd: 0,
  marginNanoUsd: 0,
  marginGpuMs: 0,
  uncosted: 0,
  expectedMilliTokens: 0,
};

/**
 * The sums of one bucket of a node.
 * @param span the bucket's time, end exclusive, not after now
 */
export function marginOfBucket(
  node: CostedNode,
  span: { fromMs: number; toMs: number },
  work: NodeWork,
): MarginSums {
  const enrolled = { fromMs: Math.max(span.fromMs, node.enrolledAtMs), toMs: span.toMs };
  if (node.removedAtMs !== null) enrolled.toMs = Math.min(enrolled.toMs, node.removedAtMs);
  const enrolledMs = Math.max(0, enrolled.toMs - enrolled.fromMs);
  const { coveredMs, costNanoUsd } = costOf(node.costs, enrolled);
  const isCosted = enrolledMs > 0 && coveredMs === enrolledMs;
  const isEmpty = enrolledMs === 0 && work.requests === 0;
  return {
    ...work,
    enrolledMs,
    coveredMs,
    costNanoUsd,
    marginNanoUsd: isCosted ? work.chargeNanoUsd - work.grantedNanoUsd - costNanoUsd : 0,
    marginGpuMs: isCosted ? node.gpus * enrolledMs : 0,
    uncosted: isCosted || isEmpty ? 0 : 1,
    expectedMilliTokens: node.capacity * enrolledMs,
  };
}

function costOf(costs: readonly DatedCost[], { fromMs, toMs }: { fromMs: number; toMs: number }) {
  const dated = [...costs].sort((a, b) => a.fromMs - b.fromMs);
  let coveredMs = 0;
  let nanoMs = 0n;
  for (const [index, cost] of dated.entries()) {
    const endMs = Math.min(toMs, dated[index + 1]?.fromMs ?? toMs);
    const ms = Math.max(0, endMs - Math.max(fromMs, cost.fromMs));
    coveredMs += ms;
    nanoMs += BigInt(cost.hourNanoUsd) * BigInt(ms);
  }
  return { coveredMs, costNanoUsd: divideRounded(nanoMs, BigInt(HOUR_MS)) };
}

export function sumMargins(parts: readonly MarginSums[]): MarginSums {
  const sums: Record<keyof MarginSums, number> = { ...NOTHING };
  for (const part of parts)
    for (const name of Object.keys(NOTHING) as (keyof MarginSums)[]) sums[name] += part[name];
  return sums;
}

/** Figures derived from sums; null where the sums do not suffice. Rates are averages per node. */
export interface MarginFigures {
  readonly costNanoUsd: NanoUsd | null;
  readonly marginNanoUsd: NanoUsd | null;
  readonly marginGpuHourNanoUsd: NanoUsd | null;
  /** Output tokens per second at which the node would pay for itself, at the average earnings per token. */
  readonly breakEven: number | null;
  /** Output tokens per second that the node reached. */
  readonly reached: number | null;
  /** Unused part of the expected output, 0 to 1. */
  readonly idle: number | null;
}

export function marginFigures(sums: MarginSums): MarginFigures {
  const { coveredMs, costNanoUsd, marginNanoUsd, marginGpuMs, completionTokens, enrolledMs } = sums;
  const earned = sums.chargeNanoUsd - sums.grantedNanoUsd;
  const hasEarned = earned > 0 && completionTokens > 0;
  return {
    costNanoUsd: coveredMs === 0 ? null : nanoUsd(costNanoUsd),
    marginNanoUsd: marginGpuMs === 0 ? null : nanoUsd(marginNanoUsd),
    marginGpuHourNanoUsd:
      marginGpuMs === 0
        ? null
        : nanoUsd(divideRounded(BigInt(marginNanoUsd) * BigInt(HOUR_MS), BigInt(marginGpuMs))),
    breakEven:
      coveredMs === 0 || !hasEarned
        ? null
        : ((costNanoUsd / coveredMs) * 1_000) / (earned / completionTokens),
    reached: enrolledMs === 0 ? null : (completionTokens * 1_000) / enrolledMs,
    idle:
      sums.expectedMilliTokens === 0
        ? null
        : Math.max(0, 1 - (completionTokens * 1_000) / sums.expectedMilliTokens),
  };
}

// ---- a plan ----

type Rates = Pick<Price, 'cacheHitNanoUsd' | 'cacheMissNanoUsd' | 'outputNanoUsd'>;

export interface Plan {
  readonly gpuHourNanoUsd: NanoUsd;
  readonly gpus: number;
  /** Output tokens per second of the node. */
  readonly tokensPerSecond: number;
  /** Thousandths of the input tokens that come from the prefix cache. */
  readonly cachedPermille: number;
  /** Input tokens for every hundred output tokens. */
  readonly inputPerHundredOutput: number;
  /** Thousandths of the tokens that are sold at the off-peak price. */
  readonly offPeakPermille: number;
  readonly prices: { readonly peak: Rates; readonly offPeak: Rates };
}

/** One hour of a planned node. */
export interface PlanResult {
  readonly revenueNanoUsd: NanoUsd;
  readonly costNanoUsd: NanoUsd;
  readonly marginNanoUsd: NanoUsd;
  /** Margin divided by revenue; null: there is no revenue. */
  readonly marginShare: number | null;
  /** Output tokens per second at which the node pays for itself, rounded up; null: tokens earn nothing. */
  readonly breakEven: number | null;
  /** Break-even divided by the planned rate; above 1 the node never pays for itself. */
  readonly utilisation: number | null;
}

/** Computes revenue, cost and margin of one hour of a planned node. */
export function evaluatePlan(plan: Plan): PlanResult {
  const { peak, offPeak } = plan.prices;
  const cached = BigInt(plan.cachedPermille);
  const input = BigInt(plan.inputPerHundredOutput);
  // Earnings of an output token and its input; with the off-peak weight below, in units of nano-USD ÷ SCALE.
  const earnings = ({ cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd }: Rates) =>
    BigInt(outputNanoUsd) * 100_000n +
    input * (cached * BigInt(cacheHitNanoUsd) + (1_000n - cached) * BigInt(cacheMissNanoUsd));
  const offPeakWeight = BigInt(plan.offPeakPermille);
  const perToken = offPeakWeight * earnings(offPeak) + (1_000n - offPeakWeight) * earnings(peak);
  const tokens = BigInt(plan.tokensPerSecond) * 3_600n;
  const revenueNanoUsd = nanoUsd(divideRounded(tokens * perToken, SCALE));
  const costNanoUsd = nanoUsd(plan.gpuHourNanoUsd * plan.gpus);
  const perSecond = perToken * 3_600n;
  const exactBreakEven = perToken === 0n ? null : Number(BigInt(costNanoUsd) * SCALE) / Number(perSecond);
  return {
    revenueNanoUsd,
    costNanoUsd,
    marginNanoUsd: nanoUsd(revenueNanoUsd - costNanoUsd),
    marginShare: revenueNanoUsd === 0 ? null : (revenueNanoUsd - costNanoUsd) / revenueNanoUsd,
    breakEven: perToken === 0n ? null : Number((BigInt(costNanoUsd) * SCALE + perSecond - 1n) / perSecond),
    utilisation:
      exactBreakEven === null || plan.tokensPerSecond === 0 ? null : exactBreakEven / plan.tokensPerSecond,
  };
}

/** Thousandths of off-peak tokens × thousandths of cached input × hundredths of the input ratio. */
const SCALE = 100_000_000n;

/** Divides, rounding half away from zero. @param divisor above zero */
function divideRounded(amount: bigint, divisor: bigint): number {
  const magnitude = amount < 0n ? -amount : amount;
  const rounded = Number((magnitude * 2n + divisor) / (divisor * 2n));
  return amount < 0n ? -rounded : rounded;
}
