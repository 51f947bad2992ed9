/** A request inside the scheduler, and sums over its choices. Each choice runs as a sequence of its own. */
import type { LogLine } from './log.ts';
import type { ChoicePlan, Finish, PlannedToken } from './plan.ts';
import type { CacheNode } from './radix-cache.ts';

/** Cumulative counts of one choice or, at the end, summed over choices. */
export interface TokenCounts {
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  reasoningTokens: number;
}

export interface EngineRequestSpec {
  rid: string;
  /** By choice, the id under which the engine aborts it. */
  choiceIds: readonly string[];
  cacheKey: string;
  prompt: string[];
  choices: ChoicePlan[];
  maxTokens: number;
  streaming: boolean;
  /** The higher runs first. */
  priority: number;
  /** A scripted fault: neither an abort nor the client's disconnect stops this request. */
  ignoreAbort: boolean;
  /** `finish` comes with a choice's last token. */
  onToken(choice: number, token: PlannedToken, counts: TokenCounts, finish: Finish | null): void;
  /** A request of a higher priority has taken the place in the queue. */
  onEvicted(): void;
  onEnd(finishes: Finish[], counts: TokenCounts): void;
}

export interface EngineRequest extends EngineRequestSpec {
  phase: 'waiting' | 'prefill' | 'decode';
  cacheNode: CacheNode | null;
  cachedTokens: number;
  prefillLeft: number;
  /** Tokens generated so far, by choice. */
  produced: number[];
  reasoningProduced: number[];
  abortedChoices: Set<number>;
  disconnectedAtMs: number | null;
  submittedMs: number;
  lastTokenMs: number | null;
}

/** The scheduler reserves at most this much output a sequence (`SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION`). */
const RESERVED_OUTPUT_TOKENS_MAX = 4_096;
export function newEngineRequest(spec: EngineRequestSpec, submittedMs: number): EngineRequest {
  return {
    ...spec,
    phase: 'waiting',
    cacheNode: null,
    cachedTokens: 0,
    prefillLeft: 0,
    produced: spec.choices.map(() => 0),
    reasoningProduced: spec.choices.map(() => 0),
    abortedChoices: new Set(),
    disconnectedAtMs: null,
    submittedMs,
    lastTokenMs: null,
  };
}

/** The choices that have neither ended nor been aborted: only these take a place. */
export function openChoices({ choices, produced, abortedChoices }: EngineRequest): number {
  return choices.filter(
    (plan, choice) => !abortedChoices.has(choice) && produced[choice] !== plan.tokens.length,
  ).length;
}

/** Whether every choice has ended or been aborted. */
export function isOver(request: EngineRequest): boolean {
  return openChoices(request) === 0;
}

/** Counts of one choice so far. */
export function countsOfChoice(request: EngineRequest, choice: number): TokenCounts {
  return counts(request, request.produced[choice]!, request.reasoningProduced[choice]!);
}

/** Counts so far, summed over choices; the prompt counts once. */
export function totalCounts(request: EngineRequest): TokenCounts {
  return counts(request, sum(request.produced), sum(request.reasoningProduced));
}

/** How each choice ended: as planned, or aborted before its end. */
export function finishesOf(request: EngineRequest): Finish[] {
  return request.choices.map((plan, choice) =>
    request.produced[choice] === plan.tokens.length ? plan.finish : { type: 'abort', matched: null },
  );
}

/** KV tokens of a running request that are not (yet) part of the prefix cache. */
export function privateTokens(request: EngineRequest): number {
  return (
    request.prompt.length -
    request.prefillLeft -
    (request.cacheNode?.depthTokens ?? 0) +
    sum(request.produced)
  );
}

export function endLine(request: EngineRequest, { t, aborted }: { t: number; aborted: boolean }): LogLine {
  const totals = totalCounts(request);
  return {
    t,
    end: request.rid,
    prompt_tokens: totals.promptTokens,
    cached_tokens: totals.cachedTokens,
    completion_tokens: totals.completionTokens,
    reasoning_tokens: totals.reasoningTokens,
    finish: aborted ? 'abort' : request.choices.map((plan) => plan.finish.type).join(','),
  };
}

function counts(request: EngineRequest, completionTokens: number, reasoningTokens: number): TokenCounts {
  const { prompt, cachedTokens } = request;
  return { promptTokens: prompt.length, cachedTokens, completionTokens, reasoningTokens };
}

/** Output tokens for which a request may still need KV cache. */
export function reservedTokens(request: EngineRequest): number {
  const each = Math.min(request.maxTokens, RESERVED_OUTPUT_TOKENS_MAX);
  return request.produced.reduce((total, produced) => total + Math.max(0, each - produced), 0);
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, next) => total + next, 0);
}
