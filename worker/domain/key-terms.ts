/** Terms of an API key. A key that creates another cannot give it more than it has itself. */
import type { Limits } from './limits.ts';

export interface KeyTerms extends Omit<Limits, 'capNanoUsd'> {
  /** Model ids; null: all models. */
  readonly models: readonly string[] | null;
  readonly capNanoUsd: number | null;
  /** Null: the key never expires. */
  readonly expiresAtMs: number | null;
}

/** The first of the wanted terms that exceeds the grantor's; null: none does. */
export function firstTermExceeded(wanted: KeyTerms, grantor: KeyTerms): keyof KeyTerms | null {
  const exceeds = (term: 'requestsPerMinute' | 'tokensPerMinute' | 'concurrency' | 'expiresAtMs') => {
    const [requested, allowed] = [wanted[term], grantor[term]];
    return allowed !== null && (requested === null || requested > allowed);
  };
  const { models } = wanted;
  if (grantor.models !== null && !models?.every((model) => grantor.models!.includes(model))) return 'models';
  if (grantor.capNanoUsd !== null) {
    if (wanted.capNanoUsd === null || wanted.capNanoUsd > grantor.capNanoUsd) return 'capNanoUsd';
    // Caps of different periods do not compare: a daily cap can be spent thirty times a month.
    if (wanted.capPeriod !== grantor.capPeriod) return 'capPeriod';
  }
  const terms = ['requestsPerMinute', 'tokensPerMinute', 'concurrency', 'expiresAtMs'] as const;
  return terms.find(exceeds) ?? null;
}

/**
 * The management key whose cap a key's successor shares when a management key rotates it: one that learns a new secret
 * must not spend from another's cap beyond its own.
 * @param managers `old`: whose cap the key shares already; null: none. `rotating`: the one that rotates it
 * @returns null when it may not rotate the key
 */
export function managerOfSuccessor(managers: {
  old: string | null;
  rotating: { readonly keyId: string; readonly capNanoUsd: number | null };
}): string | null {
  const { old, rotating } = managers;
  if (old === null || old === rotating.keyId) return rotating.keyId;
  return rotating.capNanoUsd === null ? old : null;
}

/** The terms of a key that names none: the usual limits, or the grantor's where those are lower. */
export function defaultTerms(grantor: KeyTerms): KeyTerms {
  return {
    models: grantor.models,
    capNanoUsd: grantor.capNanoUsd,
    capPeriod: grantor.capPeriod,
    requestsPerMinute: Math.min(600, grantor.requestsPerMinute),
    tokensPerMinute: grantor.tokensPerMinute,
    concurrency: Math.min(100, grantor.concurrency),
    expiresAtMs: grantor.expiresAtMs,
  };
}
