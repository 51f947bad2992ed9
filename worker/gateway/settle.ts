/** Step 7: usage becomes a charge, or the hold becomes nothing. One Wallet call, after the answer. */

import { describeError } from '../describe-error.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import type { Env } from '../env.ts';
import type { Admission } from './admit.ts';
import type { Outcome } from './meter.ts';

const ATTEMPTS = 3;
const BACKOFF_MS = 200;

/**
 * Posts what was delivered, and the prompt of an answer that credit cut; voids what was empty or never reached the client. Safe to repeat: the request id decides.
 * When the Wallet cannot be reached the hold is left to expire, and the node's receipt settles it.
 * @returns what the request cost
 */
export async function settle(
  env: Env,
  admission: Admission,
  outcome: Outcome & { nodeId: string; ttftMs: number; delivered: boolean },
): Promise<NanoUsd> {
  const { requestId, accountId, price, conversation } = admission;
  const { nodeId, usage, ending, ttftMs } = outcome;
  const billable =
    ending === 'out_of_credit' ||
    (usage.completionTokens > 0 && (outcome.delivered || ending !== 'node_failed'));
  const wallet = env.WALLET.getByName(accountId);
  const record = await persistently('settle_failed', requestId, () =>
    billable
      ? wallet.post({ requestId, nodeId, usage, ending, ttftMs, conversation })
      : wallet.void({ requestId, nodeId, ending }),
  );
  return record?.chargeNanoUsd ?? (billable ? chargeFor(usage, price) : nanoUsd(0));
}

/** Ends a request that no node answered. */
export async function voidUnserved(env: Env, admission: Settling, nodeId: string | null): Promise<void> {
  const { requestId, accountId } = admission;
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
