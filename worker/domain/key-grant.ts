/** What one key may give to another: never more than it has itself. */
import type { Limits } from './limits.ts';

export interface KeyTerms extends Omit<Limits, 'capNanoUsd'> {
  /** model ids; null: all */
  readonly models: readonly string[] | null;
  readonly capNanoUsd: number | null;
  /** null: never */
  readonly expiresAtMs: number | null;
}

/** The first of the terms that go beyond what `giver` has; null: none does. */
export function beyond(wanted: KeyTerms, giver: KeyTerms): keyof KeyTerms | null {
  const isMore = (term: 'requestsPerMinute' | 'tokensPerMinute' | 'concurrency' | 'expiresAtMs') => {
    const [asked, has] = [wanted[term], giver[term]];
    return has !== null && (asked === null || asked > has);
  };
  const { models } = wanted;
  if (giver.models !== null && !models?.every((model) => giver.models!.includes(model))) return 'models';
  if (giver.capNanoUsd !== null) {
    if (wanted.capNanoUsd === null || wanted.capNanoUsd > giver.capNanoUsd) return 'capNanoUsd';
    // a day's cap can be spent thirty times a month
    if (wanted.capPeriod !== giver.capPeriod) return 'capPeriod';
  }
  const terms = ['requestsPerMinute', 'tokensPerMinute', 'concurrency', 'expiresAtMs'] as const;
  return terms.find(isMore) ?? null;
}

/** What a key gets that says nothing of a term: the usual, or as much of it as `giver` has. */
export function usualTerms(giver: KeyTerms): KeyTerms {
  return {
    models: giver.models,
    capNanoUsd: giver.capNanoUsd,
    capPeriod: giver.capPeriod,
    requestsPerMinute: Math.min(600, giver.requestsPerMinute),
    tokensPerMinute: giver.tokensPerMinute,
    concurrency: Math.min(100, giver.concurrency),
    expiresAtMs: giver.expiresAtMs,
  };
}
