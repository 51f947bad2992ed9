/**
 * Counts how many tokens the engine has generated so far, from the usage that it reports. The result only grows, is
 * a valid NodeUsage and never exceeds the claim, whatever the engine reports.
 */
import type { NodeUsage } from '../../protocol/schemas.ts';

/**
 * Reports that could not be taken as they were.
 * - missing: text came without counts.
 * - invalid: a count was negative, fractional, huge or not a number.
 * - shrinking: a count was less than before.
 * - inconsistent: a part was larger than its whole.
 * - overrun: the engine generated more than the claim allows.
 */
export const USAGE_ANOMALIES = ['missing', 'invalid', 'shrinking', 'inconsistent', 'overrun'] as const;
export type UsageAnomaly = (typeof USAGE_ANOMALIES)[number];

const PROMPT_TOKENS_MAX = 10_000_000;

interface Counts {
  completion: number;
  reasoning: number;
  /** Whether the engine ever gave a usable completion count here. */
  reported: boolean;
  /** Deltas with content; they stand in for tokens where no count is ever reported. */
  deltas: number;
}

export class UsageMeter {
  readonly #maxTokens: number;
  readonly #onAnomaly: (kind: UsageAnomaly) => void;
  readonly #choices: Counts[];
  readonly #total: Counts = { completion: 0, reasoning: 0, reported: false, deltas: 0 };
  #prompt = 0;
  #cached = 0;
  /** Whether a pass over the prompt, before the request itself, has counted what was cached. */
  #cachedIsKnown = false;
  /** Tokens of a thought that the agent has closed; the engine counts anew behind it. */
  #closedThought = 0;
  /** Tokens that were generated past that thought's limit. */
  #pastBudget = 0;
  /** The most tokens that count while a thought is being closed. */
  #thoughtLimit = Number.POSITIVE_INFINITY;
  /** Whether any of it can be reasoning. */
  #reasons = true;

  constructor(options: { choices: number; maxTokens: number; onAnomaly(kind: UsageAnomaly): void }) {
    this.#maxTokens = options.maxTokens;
    this.#onAnomaly = options.onAnomaly;
    this.#choices = Array.from({ length: options.choices }, () => ({
      completion: 0,
      reasoning: 0,
      reported: false,
      deltas: 0,
    }));
  }

  /**
   * Takes the `usage` of one chunk. With continuous_usage_stats SGLang counts per choice (serving_chat.py,
   * `_generate_stream_content`); the last chunk, which has no choices, counts the whole request.
   */
  read(usage: unknown, indexes: number[]): void {
    if (usage === null || usage === undefined) return;
    const counts = indexes.length === 1 ? this.#choices[indexes[0] ?? 0] : this.#total;
    if (counts === undefined || typeof usage !== 'object') {
      this.#onAnomaly('invalid');
      return;
    }
    const fields = usage as Record<string, unknown>;
    // A jump far past the claim is a broken counter, not an engine that runs over by some tokens.
    const completionMax = 2 * this.#maxTokens + 1_024;
    const completion = this.#count(fields.completion_tokens, completionMax, counts.completion);
    if (completion !== null) {
      counts.completion = completion;
      counts.reported = true;
    }
    // SGLang puts reasoning_tokens at the top level; OpenAI's nested field is read too.
    const reasoning = fields.reasoning_tokens ?? detail(fields.completion_tokens_details, 'reasoning_tokens');
    counts.reasoning = this.#count(reasoning, completionMax, counts.reasoning) ?? counts.reasoning;
    if (counts.reasoning > counts.completion) this.#onAnomaly('inconsistent');
    // Behind a closed thought, the prompt is that thought too.
    if (this.#closedThought > 0) return;
    this.#prompt = this.#count(fields.prompt_tokens, PROMPT_TOKENS_MAX, this.#prompt) ?? this.#prompt;
    if (!this.#cachedIsKnown) this.#readCached(fields);
    if (this.#cached > this.#prompt) this.#onAnomaly('inconsistent');
  }

  #readCached(fields: Record<string, unknown>): void {
    // prompt_tokens_details is null unless the cache report is on and something was cached: its absence says nothing.
    const cached = detail(fields.prompt_tokens_details, 'cached_tokens');
    this.#cached = this.#count(cached, PROMPT_TOKENS_MAX, this.#cached) ?? this.#cached;
  }

  /** Takes the `usage` of a pass over the prompt, which alone says how much of it was cached before. */
  readPromptPass(usage: unknown): void {
    this.#cachedIsKnown = true;
    if (typeof usage !== 'object' || usage === null) {
      this.#onAnomaly('missing');
      return;
    }
    const fields = usage as Record<string, unknown>;
    this.#prompt = this.#count(fields.prompt_tokens, PROMPT_TOKENS_MAX, this.#prompt) ?? this.#prompt;
    this.#readCached(fields);
  }

  /** Records that choice `index` brought text or a tool call; `reported` says whether counts came with it. */
  delta(index: number, reported: boolean): void {
    const counts = this.#choices[index];
    if (counts) counts.deltas += 1;
    if (!reported) this.#onAnomaly('missing');
  }

  /** The tokens of reasoning that the engine has counted of a choice; null: it has reported nothing of it yet. */
  reasoningOf(index: number): number | null {
    const counts = this.#choices[index];
    return counts?.reported ? counts.reasoning : null;
  }

  /** Tokens that the engine has generated of a choice, behind a closed thought without it. */
  generatedOf(index: number): number {
    const counts = this.#choices[index];
    return counts === undefined ? 0 : countOf(counts);
  }

  /** Ends the only choice's thought at its limit, whatever is generated past it until `goOn`. */
  closeThought(limit: number): void {
    this.#thoughtLimit = limit;
  }

  /** The engine has stopped. What is read from now on is the answer behind the closed thought. */
  goOn(): void {
    this.#pastBudget = Math.max(0, this.#completion() - this.#thoughtLimit);
    this.#closedThought = Math.min(this.#completion(), this.#thoughtLimit);
    this.#thoughtLimit = Number.POSITIVE_INFINITY;
    for (const counts of [...this.#choices, this.#total])
      Object.assign(counts, { completion: 0, reasoning: 0, reported: false, deltas: 0 });
  }

  /** None of the tokens is reasoning, whatever the engine counts: the answer goes on behind a thought of the prompt. */
  countNoReasoning(): void {
    this.#reasons = false;
  }

  /** Tokens that the engine generated past the claim. */
  get overrunTokens(): number {
    return this.#pastClaim();
  }

  /** Tokens of a thought that the engine generated past its budget, until it was stopped and the thought closed. */
  get overBudgetTokens(): number {
    return this.#pastBudget;
  }

  /** Whether the engine has generated more than the claim allows. */
  get isPastClaim(): boolean {
    return this.#pastClaim() > 0;
  }

  #pastClaim(): number {
    return Math.max(0, this.#completion() - this.#maxTokens);
  }

  current(): NodeUsage {
    const completion = Math.min(this.#completion(), this.#maxTokens, this.#thoughtLimit);
    const counted = Math.max(this.#reasoning(), this.#total.reasoning);
    // The engine takes all that follows a closed thought for another.
    const reasoning = this.#closedThought > 0 ? this.#closedThought : counted;
    return {
      prompt_tokens: this.#prompt,
      cached_tokens: Math.min(this.#cached, this.#prompt),
      completion_tokens: completion,
      reasoning_tokens: this.#reasons ? Math.min(reasoning, completion) : 0,
    };
  }

  #reasoning(): number {
    let sum = 0;
    for (const { reasoning } of this.#choices) sum += reasoning;
    return sum;
  }

  #completion(): number {
    let summed = 0;
    for (const counts of this.#choices) summed += countOf(counts);
    return this.#closedThought + (this.#total.reported ? Math.max(summed, this.#total.completion) : summed);
  }

  /** A usable count, or null where the last one stays. */
  #count(value: unknown, max: number, last: number): number | null {
    if (value === null || value === undefined) return null;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
      this.#onAnomaly('invalid');
      return null;
    }
    if (value < last) {
      this.#onAnomaly('shrinking');
      return null;
    }
    return value;
  }
}

function countOf(counts: Counts): number {
  return counts.reported ? counts.completion : counts.deltas;
}

function detail(details: unknown, name: string): unknown {
  return typeof details === 'object' && details !== null
    ? (details as Record<string, unknown>)[name]
    : undefined;
}
