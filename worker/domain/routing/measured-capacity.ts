/**
 * What a node can do with the work there really is. The registered capacity is one figure at one yardstick; with long
 * prompts a small KV cache is full long before its GPUs are busy. Nodes report what it takes to know better: a node
 * holds as many requests as its cache or its slots allow, and gives each so many tokens a second.
 */
import type { NodeLoad } from '../../../gpu-pool/protocol/schemas.ts';

/** Of one node, averaged over minutes. */
export interface Pace {
  /** output tokens per second that one running request gets */
  readonly tokensPerSecond: number;
  /** KV tokens that one running request holds */
  readonly contextTokens: number;
}

/** Long enough that a few long prompts are no trend: an answer of a reasoning model takes minutes. */
const MEMORY_MS = 300_000;
/** A weight follows its measure in steps: every change moves conversations away from what is cached of them. */
const STEP = Math.log(1.2);
/** No measure makes a node more than this many times as much, or as little, as it was registered with: nodes may lie. */
const FACTOR_MAX = 8;

/** @param pace null: nothing ran there yet; @param elapsedMs since the last report */
export function learnPace(pace: Pace | null, load: NodeLoad, elapsedMs: number): Pace | null {
  const { running_requests: running, generation_tokens_per_second: perSecond, used_tokens: used } = load;
  if (running === 0 || perSecond === 0 || used === 0) return pace;
  const now = { tokensPerSecond: perSecond / running, contextTokens: used / running };
  if (pace === null) return now;
  const news = 1 - Math.exp(-elapsedMs / MEMORY_MS);
  return {
    tokensPerSecond: pace.tokensPerSecond + news * (now.tokensPerSecond - pace.tokensPerSecond),
    contextTokens: pace.contextTokens + news * (now.contextTokens - pace.contextTokens),
  };
}

export interface Measured {
  readonly hardware: string;
  /** as registered */
  readonly capacity: number;
  readonly load: NodeLoad;
  readonly pace: Pace | null;
  /** as published last; null: never */
  readonly weight: number | null;
}

/**
 * The weight of each node, in the order given, in the unit of the registered capacities. Nodes of one hardware
 * share a measure, which a single node would be too noisy for; hardware that nothing is known of keeps its registered
 * ratio to what is known.
 */
export function weigh(nodes: readonly Measured[]): number[] {
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
    const measure = Math.max(capacity / FACTOR_MAX, Math.min(capacity * FACTOR_MAX, raw[at]! * scale));
    const fresh = Number.isFinite(measure) ? measure : capacity;
    return weight !== null && Math.abs(Math.log(fresh / weight)) < STEP ? weight : fresh;
  });
}

function mean<T>(items: readonly T[], of: (item: T) => number): number {
  return total(items.map(of)) / items.length;
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}
