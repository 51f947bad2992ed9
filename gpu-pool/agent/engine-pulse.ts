/**
 * Whether the engine's scheduler lives, by its signs of life: tokens, and the time of each data-parallel rank's load
 * snapshot. Only the advance of a snapshot's time counts: it is compared with itself, so that no two clocks have to agree,
 * whichever host a rank is on. Pure: the caller passes in what it saw, and when.
 *
 * SGLang's scheduler publishes its load all the time while idle, every 15 steps while decoding, and at the end of each
 * prefill step (0.5.20 and 0.5.23, scheduler.py). Within a step it publishes nothing at all: /health, /server_info and /metrics learn
 * nothing either. One long prefill step therefore looks like a hang, and only its duration tells them apart: a step has at
 * most `--chunked-prefill-size` tokens, and the snapshot counts how fast this engine prefills.
 */

/** A data-parallel rank as a look at /v1/loads shows it. */
export interface RankSnapshot {
  rank: number;
  /** The rank's own time of the snapshot, in seconds; null: it has none. */
  at: number | null;
  /** Whether requests wait in the rank's queue. */
  waits: boolean;
  /** Prompt tokens prefilled since the engine started, and the microseconds that took; null: not reported. */
  prefilled: { tokens: number; microseconds: number } | null;
}

/** A prompt that the engine has and whose answer has not begun. */
export interface PendingPrompt {
  sentAtMs: number;
  /** The most tokens that it can have. */
  tokensMax: number;
}

/** How long a prefill step of this engine can be. */
export interface StepLimits {
  /** Tokens of one step. */
  tokensMax: number;
  /** A step that takes longer ends the engine itself (`--watchdog-timeout`). */
  msMax: number;
}

/**
 * Silence of an engine that has nothing to prefill. Fifteen decode steps of a full batch take three seconds on the slowest
 * hardware. With two seconds between looks, a hung engine is noticed within eight.
 */
export const SILENCE_MS = 5_500;
/** A look can be late, and one that was missed proves nothing. */
const SILENT_LOOKS_MIN = 2;
/**
 * How much longer than at the fastest rate measured a step may take. Attention over a step of 131,072 tokens costs R1 five
 * times what the rest does, and the last step of 8,192 of such a prompt takes five times as long as its first.
 */
const FIRST_STEP_SLOWDOWN = 8;
/**
 * How much longer than the longest step so far the next may take. Where attention is everything, the second step of a prompt
 * takes three times as long as the first, and each further one less than twice as long as the one before.
 */
const NEXT_STEP_SLOWDOWN = 4;

interface Rank {
  at: number | null;
  signAtMs: number;
  silentLooks: number;
  waits: boolean;
  prefilled: RankSnapshot['prefilled'];
  /** Whether the silence so far can be a prefill step. */
  mayPrefill: boolean;
}

export class EnginePulse {
  readonly #silenceMs: number;
  #ranks = new Map<number, Rank>();
  /** The last sign of life while no rank is known. */
  #signAtMs: number;
  /** Milliseconds a token, by the fastest measure; null: nothing is measured yet. */
  #fastest: number | null = null;
  /** Milliseconds of the longest step that outlasted a look. */
  #longestStep = 0;

  constructor({ nowMs, silenceMs = SILENCE_MS }: { nowMs: number; silenceMs?: number | undefined }) {
    this.#signAtMs = nowMs;
    this.#silenceMs = silenceMs;
  }

  /** Forgets everything: another process may answer now. */
  reset(nowMs: number): void {
    this.#ranks = new Map();
    this.#signAtMs = nowMs;
    this.#fastest = null;
    this.#longestStep = 0;
  }

  /**
   * Takes a look at the engine's load. A rank that it does not show is silent.
   * @param askedAtMs when the look began: its answer can be late
   * @param snapshots null: no answer
   */
  look(askedAtMs: number, snapshots: readonly RankSnapshot[] | null): void {
    for (const rank of this.#ranks.values()) rank.silentLooks += 1;
    for (const { rank, at, waits, prefilled } of snapshots ?? []) {
      const known = this.#ranks.get(rank);
      if (known !== undefined && (at === null || at === known.at)) {
        known.waits = waits;
        continue;
      }
      this.#measureRate(prefilled, known?.prefilled ?? null);
      if (known !== undefined) this.#measureStep(known, at);
      this.#ranks.set(rank, {
        ...{ at, waits, prefilled, signAtMs: askedAtMs },
        ...{ silentLooks: 0, mayPrefill: false },
      });
    }
  }

  /**
   * Takes a sign of life that names no rank: a token, or a health check that was answered. It proves nothing of a rank
   * among several, unless snapshots have no time.
   */
  sign(nowMs: number): void {
    this.#signAtMs = nowMs;
    for (const rank of this.#ranks.values()) {
      if (this.#ranks.size === 1 || rank.at === null)
        Object.assign(rank, { signAtMs: nowMs, silentLooks: 0 });
    }
  }

  /** How long the most silent rank has shown no sign of life. */
  silentMs(nowMs: number): number {
    return nowMs - Math.min(...this.#signs());
  }

  /** Whether a rank has shown no sign of life at two looks. */
  get isSilent(): boolean {
    return [...this.#ranks.values()].some(({ silentLooks }) => silentLooks >= SILENT_LOOKS_MIN);
  }

  /** Whether the scheduler hangs, or one of several does. */
  isHung(nowMs: number, pending: readonly PendingPrompt[], limits: StepLimits): boolean {
    if (this.#ranks.size === 0) return nowMs - this.#signAtMs >= this.#silenceMs;
    const verdicts = [...this.#ranks.values()].map(
      (rank) =>
        nowMs - rank.signAtMs >= Math.max(this.#silenceMs, this.#stepMs(rank, pending, limits)) &&
        rank.silentLooks >= SILENT_LOOKS_MIN,
    );
    return verdicts.includes(true);
  }

  #signs(): number[] {
    return this.#ranks.size === 0
      ? [this.#signAtMs]
      : [...this.#ranks.values()].map(({ signAtMs }) => signAtMs);
  }

  /** Learns the rate of prefill from the counters of two snapshots; from the first one, the average so far. */
  #measureRate(now: RankSnapshot['prefilled'], before: RankSnapshot['prefilled']): void {
    if (now === null) return;
    const tokens = now.tokens - (before?.tokens ?? 0);
    const ms = (now.microseconds - (before?.microseconds ?? 0)) / 1_000;
    if (tokens > 0 && ms > 0)
      this.#fastest = Math.min(this.#fastest ?? Number.POSITIVE_INFINITY, ms / tokens);
  }

  /** Learns how long a step took from the times of the snapshots before and after it. The counters lag behind by a step. */
  #measureStep({ at: before, silentLooks, mayPrefill }: Rank, at: number | null): void {
    if (!mayPrefill || silentLooks < 2 || at === null || before === null) return;
    // Shorter ones need no allowance.
    if ((at - before) * 1_000 < this.#silenceMs) return;
    this.#longestStep = Math.max(this.#longestStep, (at - before) * 1_000);
  }

  /**
   * The longest that a prefill step of this rank can take now; 0 where it has nothing to prefill. A prompt that was sent
   * after the rank fell silent is no part of the step that it is in.
   */
  #stepMs(rank: Rank, pending: readonly PendingPrompt[], limits: StepLimits): number {
    const prompts = pending.filter(({ sentAtMs }) => sentAtMs <= rank.signAtMs);
    rank.mayPrefill = prompts.length > 0 || rank.waits;
    if (!rank.mayPrefill) return 0;
    if (this.#fastest === null) return limits.msMax;
    const sent = prompts.reduce((sum, { tokensMax }) => sum + tokensMax, 0);
    const tokens = rank.waits ? limits.tokensMax : Math.min(limits.tokensMax, sent);
    const firstMs = FIRST_STEP_SLOWDOWN * tokens * this.#fastest;
    const nextMs = NEXT_STEP_SLOWDOWN * this.#longestStep * (tokens / limits.tokensMax);
    return Math.min(limits.msMax, Math.max(firstMs, nextMs));
  }
}
