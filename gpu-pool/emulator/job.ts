/** One request inside the scheduler, and the sums over its choices. */
import type { LogLine } from './log.ts';
import type { ChoicePlan, Finish, PlannedToken } from './plan.ts';
import type { CacheNode } from './radix-cache.ts';

/** Cumulative counts of one choice, or, at the end, summed over choices. */
export interface Counts {
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  reasoningTokens: number;
}

export interface JobSpec {
  rid: string;
  cacheKey: string;
  prompt: string[];
  choices: ChoicePlan[];
  maxTokens: number;
  streaming: boolean;
  /** the higher goes first */
  priority: number;
  /** scripted fault: neither an abort nor the client's leaving stops it */
  ignoreAbort: boolean;
  onToken(choice: number, token: PlannedToken, counts: Counts): void;
  onEnd(finishes: Finish[], counts: Counts): void;
}

export interface Job extends JobSpec {
  phase: 'waiting' | 'prefill' | 'decode';
  node: CacheNode | null;
  cachedTokens: number;
  prefillLeft: number;
  /** tokens generated so far, a choice */
  produced: number[];
  reasoned: number[];
  aborted: boolean;
  leftAtMs: number | null;
  submittedMs: number;
  lastTokenMs: number | null;
}

/** The scheduler reserves at most this much output a sequence (`SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION`). */
const RESERVED_OUTPUT_TOKENS_MAX = 4_096;
export function newJob(spec: JobSpec, submittedMs: number): Job {
  return {
    ...spec,
    phase: 'waiting',
    node: null,
    cachedTokens: 0,
    prefillLeft: 0,
    produced: spec.choices.map(() => 0),
    reasoned: spec.choices.map(() => 0),
    aborted: false,
    leftAtMs: null,
    submittedMs,
    lastTokenMs: null,
  };
}

/** Counts of one choice so far. */
export function choiceCounts(job: Job, choice: number): Counts {
  return counts(job, job.produced[choice]!, job.reasoned[choice]!);
}

/** Counts so far, summed over choices; the prompt counts once. */
export function totalsOf(job: Job): Counts {
  return counts(job, sum(job.produced), sum(job.reasoned));
}

/** How each choice ended: as planned, or aborted on its way. */
export function finishesOf(job: Job): Finish[] {
  return job.choices.map((plan, choice) =>
    job.produced[choice] === plan.tokens.length ? plan.finish : { type: 'abort', matched: null },
  );
}

/** KV tokens of a running job that are not (yet) part of the prefix cache. */
export function privateTokens(job: Job): number {
  return job.prompt.length - job.prefillLeft - (job.node?.depthTokens ?? 0) + sum(job.produced);
}

export function endLine(job: Job, { t, aborted }: { t: number; aborted: boolean }): LogLine {
  const totals = totalsOf(job);
  return {
    t,
    end: job.rid,
    prompt_tokens: totals.promptTokens,
    cached_tokens: totals.cachedTokens,
    completion_tokens: totals.completionTokens,
    reasoning_tokens: totals.reasoningTokens,
    finish: aborted ? 'abort' : job.choices.map((plan) => plan.finish.type).join(','),
  };
}

function counts(job: Job, completionTokens: number, reasoningTokens: number): Counts {
  const { prompt, cachedTokens } = job;
  return { promptTokens: prompt.length, cachedTokens, completionTokens, reasoningTokens };
}

/** Output that a job may still need room for. */
export function reservedTokens(job: Job): number {
  const each = Math.min(job.maxTokens, RESERVED_OUTPUT_TOKENS_MAX);
  return job.produced.reduce((total, produced) => total + Math.max(0, each - produced), 0);
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, next) => total + next, 0);
}
