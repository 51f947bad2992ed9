/** Steps 5 to 7 of an admitted request, as far as a streamed answer and one that is sent whole have them in common. */
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import { ranOutRefusal } from '../domain/ran-out.ts';
import { config } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import {
  contextExceeded,
  type ForwardContext,
  type Forwarded,
  type ForwardOptions,
  reportFailure,
} from './attempt.ts';
import { forward } from './forward.ts';
import type { Settlement } from './hold/request-hold.ts';
import { Meter, type MeteredAnswer } from './meter.ts';
import { settlementOf } from './settlement.ts';

export type AnswerContext = ForwardContext;

/** Step 5. A request that no node serves costs nothing. @param newTake see `ForwardOptions` */
export async function forwardOrVoid(
  context: AnswerContext,
  tried: Set<string>,
  newTake: ForwardOptions['newTake'],
) {
  const result = await forward(context, tried, newTake);
  if (!result.ok) await context.admission.hold.void(result.nodeId);
  return result;
}

/** Step 6. */
export function meterOf(context: AnswerContext, { answer, reader, attempt }: Forwarded): Meter {
  const { env, admission, holdWindow, disconnect, deadlines } = context;
  const { promptTokensMax, model, maxTokens, choices } = admission;
  holdWindow.spentBy({ nodeId: attempt.node.id, extend: (heldNanoUsd) => answer.extend(heldNanoUsd) });
  return new Meter(answer, reader, {
    most: {
      promptTokens: Math.min(promptTokensMax, model.contextTokens),
      completionTokens: maxTokens * choices,
    },
    ...{ holdWindow, disconnect, deadline: deadlines.newDeadline() },
    idleDeadlineMs: config(env).idleDeadlineMs,
  });
}

/** Whether a retry under the same Idempotency-Key may be given this answer: not one that the client left halfway. */
export function isWhole({ ending }: MeteredAnswer): boolean {
  return ending === 'finished' || ending === 'out_of_credit';
}

/**
 * The error with which an answer ends; null: it is an answer. A prompt that its bytes allow and the model's context does
 * not is the client's to shorten; the node should have refused it, and one of an older version does not.
 */
export function failureOf(
  { admission }: AnswerContext,
  { ending, countedPrompt }: MeteredAnswer,
): ApiError | null {
  if (ending !== 'node_failed' && ending !== 'implausible') return null;
  if (countedPrompt === null || countedPrompt > admission.promptTokensMax) return { reason: 'node_failed' };
  const { contextTokens } = admission.model;
  return contextExceeded(admission, { prompt_tokens: countedPrompt, context_tokens: contextTokens });
}

/** The error of a request whose prompt alone was more than credit and caps left for it; null: it has an answer. */
export function ranOutError(
  { admission }: AnswerContext,
  { ranOut, counted, heldNanoUsd }: MeteredAnswer,
): ApiError | null {
  if (ranOut === null || counted.completionTokens > 0) return null;
  const requiredNanoUsd = nanoUsd(chargeFor(counted, admission.price) + admission.price.outputNanoUsd);
  return ranOutRefusal({ bound: ranOut, requiredNanoUsd, heldNanoUsd }, admission, Date.now());
}

/** @returns the settlement of the hold, now that no other node is tried */
export function endAttempt(
  context: AnswerContext,
  forwarded: Forwarded,
  outcome: MeteredAnswer,
  delivered: boolean,
): Settlement {
  leaveNode(context, forwarded, outcome);
  const { attempt, ttftMs } = forwarded;
  return settlementOf(context.admission, { ...outcome, nodeId: attempt.node.id, ttftMs, delivered });
}

export function leaveNode(
  context: AnswerContext,
  { attempt }: Forwarded,
  { ending, nodeError, countedPrompt }: MeteredAnswer,
): void {
  const isToBlame = nodeError !== 'bad_request' && nodeError !== 'overloaded';
  const isMistaken = (countedPrompt ?? 0) > context.admission.promptTokensMax;
  if ((ending === 'node_failed' && isToBlame) || isMistaken) reportFailure(context, attempt);
  attempt.end();
}

/** Step 7. */
export function settle({ admission }: AnswerContext, settlement: Settlement): Promise<NanoUsd> {
  return admission.hold.settle(settlement);
}
