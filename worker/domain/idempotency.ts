/** Idempotency keys: decides what happens to a request from what is known of earlier runs with the same key. */
import type { RequestState } from './hold.ts';
import { retentionMs } from './retention.ts';

/** Answers are kept for a day, as Stripe does. */
export const REPLAY_LIFETIME_MS = retentionMs('idempotent_answer');
/** Only a few calls lie between `decideBegin` and the admission; after 30 s without it, the isolate is lost. */
const BEGIN_GRACE_MS = 30_000;
/** A single call lies between the end of a request and the storing of its answer; after 10 s it will not come. */
const KEEP_GRACE_MS = 10_000;
/** Most runs for one key. A lost answer is generated again, but each run costs GPU time and only one is paid. */
const RUNS_MAX = 3;

/** An idempotency key as the Wallet stores it. */
export interface IdempotencyRecord {
  /** Keyed hash of caller and body. */
  readonly fingerprint: string;
  readonly requestId: string;
  readonly begunAtMs: number;
  /** How often the work was begun. */
  readonly runs: number;
  /** kept: it can be sent again; lost: its edge reported that it will not be kept; open: neither is known yet. */
  readonly answer: 'kept' | 'lost' | 'open';
  /** The request's state; null: it was not admitted. */
  readonly request: { state: RequestState; endedAtMs: number | null } | null;
}

export type BeginDecision =
  /** The key is new: do the work. */
  | 'fresh'
  /** The work was done and its answer is kept: send it again. */
  | 'replay'
  /** Another request is doing the work now. */
  | 'running'
  /** The answer was lost: do the work again; only the most expensive of all runs is paid. */
  | 'again'
  /** The key was used with another body or by another API key. */
  | 'mismatch'
  /** The answer was lost RUNS_MAX times: the work is not done again. */
  | 'exhausted';

/** @param known null: the key was never used */
export function decideBegin(
  known: IdempotencyRecord | null,
  fingerprint: string,
  nowMs: number,
): BeginDecision {
  if (known === null || nowMs - known.begunAtMs >= REPLAY_LIFETIME_MS) return 'fresh';
  if (known.fingerprint !== fingerprint) return 'mismatch';
  if (known.answer === 'kept') return 'replay';
  if (known.answer === 'open' && isUnderWay(known, nowMs)) return 'running';
  return known.runs < RUNS_MAX ? 'again' : 'exhausted';
}

function isUnderWay({ request, begunAtMs }: IdempotencyRecord, nowMs: number): boolean {
  if (request === null) return nowMs - begunAtMs < BEGIN_GRACE_MS;
  if (request.state === 'held') return true;
  return nowMs - (request.endedAtMs ?? 0) < KEEP_GRACE_MS;
}
