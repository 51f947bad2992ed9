/** An assumption about the engine as a row of data, and what a check of it can find. */
import type { Subject } from './subject.ts';

export type Verdict =
  | { readonly kind: 'ok' | 'differs'; readonly expected: string; readonly seen: string }
  | { readonly kind: 'not_applicable'; readonly reason: string };

export interface Assumption {
  /** Unique, `theme/name`. */
  readonly id: string;
  /** The assumption as a sentence about the engine. */
  readonly says: string;
  /** Files of ours that rely on it. */
  readonly madeBy: readonly string[];
  /** Why the emulator does not have it; absent: it must. */
  readonly onlyReal?: string;
  check(subject: Subject): Promise<Verdict>;
}

/** `ok` where `seen` is `expected`, or where the third argument says so. */
export function verdict(expected: string, seen: string, holds = expected === seen): Verdict {
  return { kind: holds ? 'ok' : 'differs', expected, seen };
}

export function notApplicable(reason: string): Verdict {
  return { kind: 'not_applicable', reason };
}

/** The verdict on several parts: `ok` where none has a fault. */
export function withoutFaults(expected: string, faults: readonly string[], seen = expected): Verdict {
  return verdict(expected, faults.length === 0 ? seen : faults.join('; '), faults.length === 0);
}
