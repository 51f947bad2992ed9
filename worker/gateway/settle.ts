/** Step 7: usage becomes a charge, or the hold becomes nothing: told by its lease, or in one Wallet call after the answer. */

import type { Ending } from '../domain/hold.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import type { PostRequest } from '../domain/wallet.ts';
import type { Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import type { Admission } from './admit.ts';
import { leaseOf } from './lease/registry.ts';
import type { MeteredAnswer } from './meter.ts';

const ATTEMPTS = 3;
const BACKOFF_MS = 200;

/** How a hold is to end, as plain data: whoever keeps it can carry it out again, to the same effect. */
export interface Settlement {
  readonly requestId: string;
  readonly accountId: string;
  readonly nodeId: string;
  readonly ending: Ending;
  /** null: it costs nothing */
  readonly billed: Pick<PostRequest, 'usage' | 'ttftMs' | 'conversation'> | null;
  /** what the hold pays for of it is what the Wallet charges; the purse saw to it that it pays for all */
  readonly chargeNanoUsd: NanoUsd;
}

/** Bills what was delivered, and the prompt of an answer that credit cut; not what was empty or never reached anybody. */
export function settlementOf(
  { requestId, accountId, price, conversation }: Admission,
  outcome: MeteredAnswer & { nodeId: string; ttftMs: number; delivered: boolean },
): Settlement {
  const { nodeId, usage, ending, ttftMs } = outcome;
  const billable =
    ending === 'out_of_credit' ||
    (usage.completionTokens > 0 && (outcome.delivered || ending !== 'node_failed'));
  return {
    requestId,
    accountId,
    nodeId,
    ending,
    billed: billable ? { usage, ttftMs, conversation } : null,
    chargeNanoUsd: billable ? chargeFor(usage, price) : nanoUsd(0),
  };
}

/**
 * Safe to repeat: the request id decides. When the Wallet cannot be reached the hold is left to expire, and the node's
 * receipt settles it. @returns what the request cost
 */
export async function settle(env: Env, settlement: Settlement): Promise<NanoUsd> {
  const { requestId, accountId, nodeId, ending, billed, chargeNanoUsd } = settlement;
  const lease = leaseOf(requestId);
  if (lease) {
    const { usage, ttftMs, conversation } = billed ?? { usage: null, ttftMs: null };
    const cost = lease.end(requestId, { nodeId, ending, usage, ttftMs, conversation });
    if (usage === null) await lease.told(requestId);
    return cost;
  }
  const wallet = env.WALLET.getByName(accountId);
  const record = await persistently('settle_failed', requestId, () =>
    billed
      ? wallet.post({ requestId, nodeId, ending, ...billed })
      : wallet.void({ requestId, nodeId, ending }),
  );
  return record?.chargeNanoUsd ?? chargeNanoUsd;
}

/** Ends a request that no node answered. */
export async function voidUnserved(env: Env, admission: Settling, nodeId: string | null): Promise<void> {
  const { requestId, accountId } = admission;
  const lease = leaseOf(requestId);
  if (lease) {
    lease.end(requestId, { nodeId, ending: 'not_served', usage: null, ttftMs: null });
    return lease.told(requestId);
  }
  const wallet = env.WALLET.getByName(accountId);
  await persistently('void_failed', requestId, () =>
    wallet.void({ requestId, nodeId, ending: 'not_served' }),
  );
}

/** What is enough of an admission to end its hold. */
type Settling = Pick<Admission, 'requestId' | 'accountId'>;

/** Calls the Wallet until it answers, a few times; null when it does not: the hold then expires by itself. */
async function persistently<T>(event: string, requestId: string, call: () => Promise<T>): Promise<T | null> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      console.error(JSON.stringify({ event, requestId, attempt, error: describeError(error) }));
      if (attempt === ATTEMPTS) return null;
      await scheduler.wait(BACKOFF_MS * attempt);
    }
  }
}
