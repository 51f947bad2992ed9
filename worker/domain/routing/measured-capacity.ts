/**
 * Measures what a node can do with the actual workload. The registered capacity is one figure for one benchmark; with
 * long prompts a small KV cache is full long before its GPUs are busy. Heartbeats allow a better figure: a node holds as
 * many requests as its cache or its slots allow, and gives each a measured number of tokens per second.
 */
import type { NodeLoad } from '../../../gpu-pool/protocol/schemas.ts';

/** Measurements of one node, averaged over minutes. */
export interface Pace {
  /** Output tokens per second that one running request gets. */
  readonly tokensPerSecond: number;
  /** KV cache tokens that one running request holds. */
  readonly contextTokens: number;
}

/**
 * Time constant of the average: long enough that a few long prompts are no
 * trend, as a reasoning model's answer takes minutes.
 */
const MEMORY_MS = 300_000;
/** A weight changes only in steps of 20 %, because every change moves conversations away from their cached prompts. */
const STEP = Math.log(1.2);
/**
 * A measured weight is at most this many times more or less than the
 * registered capacity, since nodes may report falsehoods.
 */
const FACTOR_MAX = 8;

/**
 * Updates a node's averages with one report.
 * @param pace null: nothing has run there yet
 * @param elapsedMs time since the last report
 */
export function learnPace(pace: Pace | null, load: NodeLoad, elapsedMs: number): Pace | null {
  const { running_requests: running, generation_tokens_per_second: perSecond, used_tokens: used } = load;
  if (running === 0 || perSecond === 0 || used === 0) return pace;
  const current = { tokensPerSecond: perSecond / running, contextTokens: used / running };
  if (pace === null) return current;
  const blend = 1 - Math.exp(-elapsedMs / MEMORY_MS);
  return {
    tokensPerSecond: pace.tokensPerSecond + blend * (current.tokensPerSecond - pace.tokensPerSecond),
    contextTokens: pace.contextTokens + blend * (current.contextTokens - pace.contextTokens),
  };
}

export interface MeasuredNode {
  readonly hardware: string;
  /** Registered capacity, output tokens per second. */
  readonly capacity: number;
  readonly load: NodeLoad;
  readonly pace: Pace | null;
  /** Weight as last published; null: never. */
  readonly weight: number | null;
}

/**
 * The weight of each node, in the given order and in the unit of the registered capacities. Nodes with the same hardware
 * share a measurement, since that of a single node is too noisy. Hardware without measurements keeps its registered ratio
 * to the rest.
 */
export function nodeWeights(nodes: readonly MeasuredNode[]): number[] {
  const known = nodes.filter(({ pace }) => pace !== null);
  if (known.length === 0) return nodes.map(({ capacity }) => capacity);
  const contextTokens = mean(known, ({ pace }) => pace!.contextTokens);
  const paces = new Map(
    [...Map.groupBy(known, ({ hardware }) => hardware)].map(([hardware, group]) => [
      hardware,
      mean(group, ({ pace }) => pace!.tokensPerSecond),
    ]),
  );
  const measured = nodes.map(({ hardware, load }) => {
    const pace = paces.get(hardware);
    const slots = Math.min(load.max_running_requests, load.capacity_tokens / contextTokens);
    return pace === undefined || slots <= 0 ? null : pace * slots;
  });
  const perCapacity =
    measured.reduce<number>((sum, each) => sum + (each ?? 0), 0) /
    nodes.reduce((sum, { capacity }, at) => sum + (measured[at] === null ? 0 : capacity), 0);
  const raw = nodes.map(({ capacity }, at) => measured[at] ?? capacity * (perCapacity || 1));
  const scale = total(nodes.map(({ capacity }) => capacity)) / total(raw);
  return nodes.map(({ weight, capacity }, at) => {
    const bounded = Math.max(capacity / FACTOR_MAX, Math.min(capacity * FACTOR_MAX, raw[at]! * scale));
    const next = Number.isFinite(bounded) ? bounded : capacity;
    return weight !== null && Math.abs(Math.log(next / weight)) < STEP ? weight : next;
  });
}

function mean<T>(items: readonly T[], valueFrom: (item: T) => number): number {
  return total(items.map(valueFrom)) / items.length;
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}
