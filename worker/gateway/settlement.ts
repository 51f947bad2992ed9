/** Step 7, as a rule: what a request's hold ends with, which is a charge for its usage or nothing. */
import type { Ending } from '../domain/hold.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import type { PostRequest } from '../domain/wallet.ts';
import type { Admission } from './admit.ts';
import type { MeteredAnswer } from './meter.ts';

/**
 * How a hold is to end, as plain data. A batch stores it as JSON before it is carried out, so its fields keep their names;
 * carrying it out twice has the effect of once.
 */
export interface Settlement {
  readonly requestId: string;
  readonly accountId: string;
  readonly nodeId: string;
  readonly ending: Ending;
  /** null: the request costs nothing */
  readonly billed: Pick<PostRequest, 'usage' | 'ttftMs' | 'conversation'> | null;
  /** The Wallet charges at most what is held; the hold window has made sure that the hold covers all of it. */
  readonly chargeNanoUsd: NanoUsd;
}

/**
 * Bills the usage that was delivered, and the prompt of an answer that ended for lack of credit. An answer without a
 * token, or one that failed before any of it reached the client, costs nothing.
 */
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
