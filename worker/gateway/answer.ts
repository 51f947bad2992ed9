/**
 * Steps 5 to 7 of an admitted request: forward, meter, settle, for the two shapes of an answer. A streamed answer leaves
 * as it comes; a whole one leaves when it is complete, so until then another node can take over from one that failed.
 */
import { idSuffix } from '../../gpu-pool/answers/formatter.ts';
import { OrderedCalls } from '../../gpu-pool/answers/ordered-calls.ts';
import { withoutReasoning } from '../../gpu-pool/answers/without-reasoning.ts';
import type { NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import { ranOutRefusal } from '../domain/ran-out.ts';
import type { ApiError } from '../http/api-error.ts';
import { contextExceeded, type ForwardContext, type Forwarded, reportFailure } from './attempt.ts';
import type { AnswerEvents, AnswerHead, DialectRequest } from './dialects/dialect.ts';
import { wholeOf } from './dialects/formatted.ts';
import { ATTEMPTS_MAX, forward } from './forward.ts';
import { HoldWindow } from './hold/hold-window.ts';
import type { Settlement } from './hold/request-hold.ts';
import { type MeteredAnswer, meter } from './meter.ts';
import { settlementOf } from './settlement.ts';
import type { ClientChunk } from './stream/client-chunk.ts';

export interface AnswerContext extends ForwardContext {
  readonly dialectRequest: DialectRequest;
  readonly head: AnswerHead;
  /** see `ServeRequest` in serve.ts */
  readonly keep?: ((kept: KeptAnswer) => void) | undefined;
}

export interface KeptAnswer {
  readonly text: string;
  readonly settlement: Settlement;
}

const text = (value: string, last = false): ClientChunk => ({ kind: 'text', text: value, last });

export async function* streamedAnswer(
  context: AnswerContext,
  events: AnswerEvents,
): AsyncGenerator<ClientChunk, void> {
  const result = await forwardOrVoid(context, new Set());
  if (!result.ok) return yield { kind: 'error', error: result.error };
  const { forwarded } = result;
  const chunks = metered(context, forwarded, new HoldWindow(context.env, context.admission));
  const calls = orderedCalls(context);
  let delivered = false;
  try {
    let step = await chunks.next();
    for (; !step.done; step = await chunks.next()) {
      const written = step.value.map((chunk) => events.chunk(calls.take(shown(context, chunk)))).join('');
      if (written === '') continue;
      delivered = true;
      yield text(written);
    }
    const outcome = step.value;
    const charge = await settle(context, endAttempt(context, forwarded, outcome, delivered));
    const failure = failureOf(context, outcome) ?? (delivered ? null : ranOutError(context, outcome));
    if (failure && (delivered || failure.reason === 'node_failed')) {
      const reason = delivered ? 'broken_off' : 'node_failed';
      return yield { kind: 'error', error: { reason } };
    }
    if (failure) return yield { kind: 'error', error: failure };
    const rest = calls.end();
    const last = (rest ? events.chunk(rest) : '') + events.end({ ...outcome, charge });
    yield text(last, isWhole(outcome));
  } finally {
    forwarded.attempt.end();
  }
}

export async function* wholeAnswer(context: AnswerContext): AsyncGenerator<ClientChunk, void> {
  const tried = new Set<string>();
  const holdWindow = new HoldWindow(context.env, context.admission);
  for (;;) {
    const result = await forwardOrVoid(context, tried);
    if (!result.ok) return yield { kind: 'error', error: result.error };
    const { forwarded } = result;
    const whole = wholeOf(context.dialectRequest, context.head);
    const calls = orderedCalls(context);
    const chunks = metered(context, forwarded, holdWindow);
    let step = await chunks.next();
    for (; !step.done; step = await chunks.next())
      for (const chunk of step.value) whole.chunk(calls.take(shown(context, chunk)));
    const rest = calls.end();
    if (rest) whole.chunk(rest);
    const outcome = step.value;
    const error = failureOf(context, outcome) ?? ranOutError(context, outcome);
    // A request that the engine calls the client's mistake would be one at any other node.
    const mayMove = error?.reason === 'node_failed' && outcome.nodeError !== 'bad_request';
    if (mayMove && tried.size < ATTEMPTS_MAX) {
      leaveNode(context, forwarded, outcome);
      await holdWindow.renew();
      continue;
    }
    const settlement = endAttempt(context, forwarded, outcome, false);
    const answer = (charge: NanoUsd) => JSON.stringify(whole.end({ ...outcome, charge }));
    if (!error) context.keep?.({ text: answer(settlement.chargeNanoUsd), settlement });
    const charge = await settle(context, settlement);
    if (error) return yield { kind: 'error', error };
    return yield text(answer(charge), isWhole(outcome));
  }
}

/** The chunk as the client wants it: without its thought, if that was excluded. */
function shown({ dialectRequest }: AnswerContext, chunk: NodeChunk): NodeChunk {
  return dialectRequest.request.reasoning?.exclude ? withoutReasoning(chunk) : chunk;
}

/** An agent ends an answer behind its only call; one that is too old for it sends further calls, which are dropped. */
function orderedCalls({ head: { requestId }, dialectRequest }: AnswerContext): OrderedCalls {
  const { parallel_tool_calls: parallel } = dialectRequest.request.generate;
  const callsMax = parallel === false ? 1 : undefined;
  const suffix = idSuffix(requestId, null);
  return new OrderedCalls((choice, call) => `call_${suffix}_${choice}_${call}`, callsMax);
}

/** Whether a retry under the same Idempotency-Key may be given this answer: not one that the client left halfway. */
function isWhole({ ending }: MeteredAnswer): boolean {
  return ending === 'finished' || ending === 'out_of_credit';
}

/**
 * The error with which an answer ends; null: it is an answer. A prompt that its bytes allow and the model's context does
 * not is the client's to shorten; the node should have refused it, and one of an older version does not.
 */
function failureOf({ admission }: AnswerContext, { ending, countedPrompt }: MeteredAnswer): ApiError | null {
  if (ending !== 'node_failed' && ending !== 'implausible') return null;
  if (countedPrompt === null || countedPrompt > admission.promptTokensMax) return { reason: 'node_failed' };
  const { contextTokens } = admission.model;
  return contextExceeded(admission, { prompt_tokens: countedPrompt, context_tokens: contextTokens });
}

/** The error of a request whose prompt alone was more than credit and caps left for it; null: it has an answer. */
function ranOutError(
  { admission }: AnswerContext,
  { ranOut, usage, heldNanoUsd }: MeteredAnswer,
): ApiError | null {
  if (ranOut === null || usage.completionTokens > 0) return null;
  const requiredNanoUsd = nanoUsd(chargeFor(usage, admission.price) + admission.price.outputNanoUsd);
  return ranOutRefusal({ bound: ranOut, requiredNanoUsd, heldNanoUsd }, admission, Date.now());
}

async function forwardOrVoid(context: AnswerContext, tried: Set<string>) {
  const result = await forward(context, tried);
  if (!result.ok) await context.admission.hold.void(result.nodeId);
  return result;
}

function metered(
  { admission, disconnect, waitUntil }: AnswerContext,
  forwarded: Forwarded,
  holdWindow: HoldWindow,
): AsyncGenerator<readonly NodeChunk[], MeteredAnswer> {
  disconnect.listen(() => waitUntil(forwarded.stream.askToStop().catch(() => undefined)));
  const { promptTokensMax, model, maxTokens, choices } = admission;
  const promptTokens = Math.min(promptTokensMax, model.contextTokens);
  const most = { promptTokens, completionTokens: maxTokens * choices };
  return meter(forwarded, most, holdWindow, disconnect);
}

function settle({ admission }: AnswerContext, settlement: Settlement): Promise<NanoUsd> {
  return admission.hold.settle(settlement);
}

/** @returns the settlement of the hold, now that no other node is tried */
function endAttempt(
  context: AnswerContext,
  forwarded: Forwarded,
  outcome: MeteredAnswer,
  delivered: boolean,
): Settlement {
  leaveNode(context, forwarded, outcome);
  const { stream, ttftMs } = forwarded;
  return settlementOf(context.admission, { ...outcome, nodeId: stream.node.id, ttftMs, delivered });
}

function leaveNode(context: AnswerContext, { attempt }: Forwarded, outcome: MeteredAnswer): void {
  const { ending, nodeError, countedPrompt } = outcome;
  const isToBlame = nodeError !== 'bad_request' && nodeError !== 'overloaded';
  const isMistaken = (countedPrompt ?? 0) > context.admission.promptTokensMax;
  if ((ending === 'node_failed' && isToBlame) || isMistaken) reportFailure(context, attempt);
  attempt.end();
}
