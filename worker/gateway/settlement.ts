/** Step 7, as a rule: what a request's hold ends with, which is a charge for its usage or nothing. */
import { nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import type { Admission } from './admission.ts';
import type { Settlement } from './hold/request-hold.ts';
import type { MeteredAnswer } from './meter.ts';

/**
 * Bills the usage that was delivered. An answer without a token, unless none was asked for, or one that failed or was
 * refused before any of it reached the client, costs nothing, also where credit or a cap ran out over its prompt.
 */
export function settlementOf(
  { requestId, accountId, price, conversation, maxTokens }: Admission,
  outcome: MeteredAnswer & { nodeId: string; ttftMs: number; delivered: boolean },
): Settlement {
  const { nodeId, usage, ttftMs } = outcome;
  // An ending names the limit that ran out, not only that one did.
  const ending = outcome.ending === 'out_of_credit' ? (outcome.ranOut ?? 'out_of_credit') : outcome.ending;
  const wasRefused = ending === 'implausible' && !outcome.delivered;
  // A request for no tokens is served once its prompt has been read.
  const isPromptRead = maxTokens === 0 && ending === 'finished';
  const isUsed =
    isPromptRead || (usage.completionTokens > 0 && (outcome.delivered || ending !== 'node_failed'));
  const billable = isUsed && !wasRefused;
  return {
    requestId,
    accountId,
    nodeId,
    ending,
    billed: billable ? { usage, ttftMs, conversation } : null,
    chargeNanoUsd: billable ? chargeFor(usage, price) : nanoUsd(0),
  };
}
