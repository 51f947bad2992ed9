/** Idempotency keys: what a retry with the same key meets, decided from what is known of the first attempt. */
import type { RequestState } from './hold.ts';

/** Answers are kept this long, as Stripe does. */
export const KEEP_REPLAYS_MS = 24 * 3_600_000;
/** Between admission and the first trace of a request lie a few calls; after this the edge that began it is gone. */
const BEGIN_GRACE_MS = 30_000;
/** Between the end of a request and the keeping of its answer lies one call. */
const KEEP_GRACE_MS = 10_000;
/** An answer that was lost may be generated again, at most this often: each run costs GPU time and only one is paid. */
const RUNS_MAX = 3;

/** What the Wallet knows of an idempotency key. */
export interface KnownKey {
  /** keyed hash of caller and body */
  readonly fingerprint: string;
  readonly requestId: string;
  readonly begunAtMs: number;
  /** how often the work was begun */
  readonly runs: number;
  /** what became of the answer: kept, it can be sent again; lost, its edge said that it will not be kept */
  readonly answer: 'kept' | 'lost' | 'open';
  /** of the request, if it was admitted */
  readonly request: { state: RequestState; endedAtMs: number | null } | null;
}

export type Begin =
  /** nobody did this work: do it */
  | 'fresh'
  /** it was done and its answer is kept: send it again */
  | 'replay'
  /** somebody is doing it */
  | 'running'
  /** it was begun and its answer is lost: do it again; of all runs only the dearest is paid */
  | 'again'
  /** the key was used for another body or by another API key */
  | 'mismatch'
  /** lost too often */
  | 'exhausted';

export function begin(known: KnownKey | null, fingerprint: string, nowMs: number): Begin {
  if (known === null || nowMs - known.begunAtMs >= KEEP_REPLAYS_MS) return 'fresh';
  if (known.fingerprint !== fingerprint) return 'mismatch';
  if (known.answer === 'kept') return 'replay';
  if (known.answer === 'open' && isUnderWay(known, nowMs)) return 'running';
  return known.runs < RUNS_MAX ? 'again' : 'exhausted';
}

function isUnderWay({ request, begunAtMs }: KnownKey, nowMs: number): boolean {
  if (request === null) return nowMs - begunAtMs < BEGIN_GRACE_MS;
  if (request.state === 'held') return true;
  return nowMs - (request.endedAtMs ?? 0) < KEEP_GRACE_MS;
}
