/** Step 7: usage becomes a charge, or the hold becomes nothing. One Wallet call, after the answer. */
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import type { Env } from '../env.ts';
import type { Admission } from './admit.ts';
import type { Outcome } from './meter.ts';

const ATTEMPTS = 3;
const BACKOFF_MS = 200;

/**
 * Posts what was delivered; voids what was empty or never reached the client. Safe to repeat: the request id decides.
 * When the Wallet cannot be reached the hold is left to expire, and the node's receipt settles it.
 * @returns what the request cost
 */
export async function settle(
  env: Env,
  admission: Admission,
  outcome: Outcome & { nodeId: string; ttftMs: number; delivered: boolean },
): Promise<NanoUsd> {
  const { requestId, accountId, price } = admission;
  const { nodeId, usage, ending, ttftMs } = outcome;
  const billable = usage.completionTokens > 0 && (outcome.delivered || ending !== 'node_failed');
  const wallet = env.WALLET.getByName(accountId);
  for (let attempt = 1; ; attempt++) {
    try {
      const record = billable
        ? await wallet.post({ requestId, nodeId, usage, ending, ttftMs })
        : await wallet.void({ requestId, nodeId, ending });
      return record?.chargeNanoUsd ?? nanoUsd(0);
    } catch (error) {
      console.error(JSON.stringify({ event: 'settle_failed', requestId, attempt, error: String(error) }));
      if (attempt === ATTEMPTS) return billable ? chargeFor(usage, price) : nanoUsd(0);
      await scheduler.wait(BACKOFF_MS * attempt);
    }
  }
}

/** Ends a request that no node answered. */
export async function voidUnserved(env: Env, admission: Admission, nodeId: string | null): Promise<void> {
  const { requestId, accountId } = admission;
  await env.WALLET.getByName(accountId)
    .void({ requestId, nodeId, ending: 'not_served' })
    // the hold expires by itself
    .catch((error) =>
      console.error(JSON.stringify({ event: 'void_failed', requestId, error: String(error) })),
    );
}
