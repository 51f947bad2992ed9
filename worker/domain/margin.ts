/**
 * What a node earned against what it cost: sums of the past, and a plan for a node to come. Exact integers of nano-USD
 * all the way; what is divided is rounded half away from zero to the nano-USD, a cost once for each bucket of a node.
 */
import { type NanoUsd, nanoUsd } from './money.ts';
import type { Price } from './pricing.ts';

const HOUR_MS = 3_600_000;

/** What an hour of a node costs from an instant on, until the next one. */
export interface DatedCost {
  readonly fromMs: number;
  readonly hourNanoUsd: number;
}

/** What a node did in a span. */
export interface NodeWork {
  readonly requests: number;
  readonly completionTokens: number;
  readonly chargeNanoUsd: number;
  /** part of the charges that granted credit paid */
  readonly grantedNanoUsd: number;
  /** counted by the node and billed to nobody, prompt and completion */
  readonly writtenOffTokens: number;
}

export interface CostedNode {
  readonly gpus: number;
  /** output tokens a second that it is expected to reach */
  readonly capacity: number;
  readonly enrolledAtMs: number;
  /** null: it is still there */
  readonly removedAtMs: number | null;
  /** in any order */
  readonly costs: readonly DatedCost[];
}

/** A bucket of a node, or any sum of such; every field adds up. */
export interface MarginSums extends NodeWork {
  /** for which nodes were enrolled, each node's time counted by itself */
  readonly enrolledMs: number;
  /** the part of it for which a cost was set, and what it cost */
  readonly coveredMs: number;
  readonly costNanoUsd: number;
  /** of the buckets whose whole cost is known: what is left of their earnings, and the GPUs' time that it took */
  readonly marginNanoUsd: number;
  readonly marginGpuMs: number;
  /** buckets whose cost is not known, or not for the whole of them */
  readonly uncosted: number;
  /** output tokens that were expected, times a thousand */
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

/** @param span of the bucket, the end exclusive and not after now */
export function bucketOf(
  node: CostedNode,
  span: { fromMs: number; toMs: number },
  work: NodeWork,
): MarginSums {
  const there = { fromMs: Math.max(span.fromMs, node.enrolledAtMs), toMs: span.toMs };
  if (node.removedAtMs !== null) there.toMs = Math.min(there.toMs, node.removedAtMs);
  const enrolledMs = Math.max(0, there.toMs - there.fromMs);
  const { coveredMs, costNanoUsd } = costOf(node.costs, there);
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
  return { coveredMs, costNanoUsd: divided(nanoMs, BigInt(HOUR_MS)) };
}

export function sumOf(parts: readonly MarginSums[]): MarginSums {
  const sums: Record<keyof MarginSums, number> = { ...NOTHING };
  for (const part of parts)
    for (const name of Object.keys(NOTHING) as (keyof MarginSums)[]) sums[name] += part[name];
  return sums;
}

/** What follows from sums; null where it cannot be told. Rates are those of one node, on average. */
export interface MarginFigures {
  readonly costNanoUsd: NanoUsd | null;
  readonly marginNanoUsd: NanoUsd | null;
  readonly marginGpuHourNanoUsd: NanoUsd | null;
  /** output tokens a second at which what a token earned here would pay for the node */
  readonly breakEven: number | null;
  /** output tokens a second */
  readonly reached: number | null;
  /** 0 to 1 */
  readonly idle: number | null;
}

export function figuresOf(sums: MarginSums): MarginFigures {
  const { coveredMs, costNanoUsd, marginNanoUsd, marginGpuMs, completionTokens, enrolledMs } = sums;
  const earned = sums.chargeNanoUsd - sums.grantedNanoUsd;
  const hasEarned = earned > 0 && completionTokens > 0;
  return {
    costNanoUsd: coveredMs === 0 ? null : nanoUsd(costNanoUsd),
    marginNanoUsd: marginGpuMs === 0 ? null : nanoUsd(marginNanoUsd),
    marginGpuHourNanoUsd:
      marginGpuMs === 0
        ? null
        : nanoUsd(divided(BigInt(marginNanoUsd) * BigInt(HOUR_MS), BigInt(marginGpuMs))),
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
  /** output tokens a second of the node */
  readonly tokensPerSecond: number;
  /** of the input tokens, in thousandths */
  readonly cachedPermille: number;
  /** input tokens to a hundred output tokens */
  readonly inputPerHundredOutput: number;
  /** of the tokens, in thousandths */
  readonly offPeakPermille: number;
  readonly prices: { readonly peak: Rates; readonly offPeak: Rates };
}

export interface Planned {
  readonly revenueNanoUsd: NanoUsd;
  readonly costNanoUsd: NanoUsd;
  readonly marginNanoUsd: NanoUsd;
  /** of the revenue; null: there is none */
  readonly marginShare: number | null;
  /** whole output tokens a second, rounded up; null: none would pay */
  readonly breakEven: number | null;
  /** break-even as a share of what is reached; above 1 it never pays */
  readonly utilisation: number | null;
}

/** An hour of a node. */
export function planned(plan: Plan): Planned {
  const { peak, offPeak } = plan.prices;
  const cached = BigInt(plan.cachedPermille);
  const input = BigInt(plan.inputPerHundredOutput);
  // what an output token and its input earn, in nano-USD / 10⁸
  const earns = ({ cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd }: Rates) =>
    BigInt(outputNanoUsd) * 100_000n +
    input * (cached * BigInt(cacheHitNanoUsd) + (1_000n - cached) * BigInt(cacheMissNanoUsd));
  const off = BigInt(plan.offPeakPermille);
  const perToken = off * earns(offPeak) + (1_000n - off) * earns(peak);
  const tokens = BigInt(plan.tokensPerSecond) * 3_600n;
  const revenueNanoUsd = nanoUsd(divided(tokens * perToken, SCALE));
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

/** Thousandths of off-peak × thousandths from cache × hundredths of the ratio. */
const SCALE = 100_000_000n;

/** Half away from zero. @param by above zero */
function divided(amount: bigint, by: bigint): number {
  const size = amount < 0n ? -amount : amount;
  const whole = Number((size * 2n + by) / (by * 2n));
  return amount < 0n ? -whole : whole;
}
