/** Usage is counts of tokens, never money. `prompt = cached + uncached`, `completion = reasoning + answer`. */
import type { NodeUsage } from '../../gpu-pool/protocol/schemas.ts';

export interface Usage {
  readonly promptTokens: number;
  /** The part of `promptTokens` found in the prefix cache. */
  readonly cachedTokens: number;
  /** Includes `reasoningTokens`. */
  readonly completionTokens: number;
  readonly reasoningTokens: number;
}

export const NO_USAGE: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 };

export function addUsage(a: Usage, b: Usage): Usage {
  return {
    promptTokens: a.promptTokens + b.promptTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    completionTokens: a.completionTokens + b.completionTokens,
    reasoningTokens: a.reasoningTokens + b.reasoningTokens,
  };
}

export function fromNodeUsage(usage: NodeUsage): Usage {
  return {
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.cached_tokens,
    completionTokens: usage.completion_tokens,
    reasoningTokens: usage.reasoning_tokens,
  };
}

export function toNodeUsage(usage: Usage): NodeUsage {
  return {
    prompt_tokens: usage.promptTokens,
    cached_tokens: usage.cachedTokens,
    completion_tokens: usage.completionTokens,
    reasoning_tokens: usage.reasoningTokens,
  };
}

/** Whether the counts are integers, not negative, and no part exceeds its whole. */
export function isSound(usage: Usage): boolean {
  return (
    Object.values(usage).every((count) => Number.isSafeInteger(count) && count >= 0) &&
    usage.cachedTokens <= usage.promptTokens &&
    usage.reasoningTokens <= usage.completionTokens
  );
}
