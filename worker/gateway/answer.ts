/**
 * Steps 5 to 7 of an admitted request: forward, meter, settle, in one of two shapes. A streamed answer leaves as it
 * comes; a whole one leaves when it is complete, so until then another node can take over from one that failed.
 */
import type { NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import type { NanoUsd } from '../domain/money.ts';
import { type ForwardContext, type Forwarded, reportFailure } from './attempt.ts';
import type { AnswerEvents, AnswerHead, DialectRequest } from './dialects/dialect.ts';
import { ATTEMPTS_MAX, forward } from './forward.ts';
import { Purse } from './lease/request-hold.ts';
import { type MeteredAnswer, meter } from './meter.ts';
import { type Settlement, settle, settlementOf, voidUnserved } from './settle.ts';
import type { ClientChunk } from './stream/client-chunk.ts';

export interface AnswerContext extends ForwardContext {
  readonly asked: DialectRequest;
  readonly head: AnswerHead;
  /** see `Job` in serve.ts */
  readonly keep?: ((kept: KeptAnswer) => void) | undefined;
}

export interface KeptAnswer {
  readonly text: string;
  readonly settlement: Settlement;
}

const text = (value: string, last = false): ClientChunk => ({ kind: 'text', text: value, last });

export async function* streamedAnswer(
  work: AnswerContext,
  events: AnswerEvents,
): AsyncGenerator<ClientChunk, void> {
  const forwarded = await forwardOrVoid(work, new Set());
  if (!forwarded.ok) return yield { kind: 'refusal', refusal: forwarded.refusal };
  const chunks = metered(work, forwarded.forwarded, new Purse(work.env, work.admission));
  let delivered = false;
  try {
    let step = await chunks.next();
    for (; !step.done; step = await chunks.next()) {
      const said = step.value.map((chunk) => events.chunk(chunk)).join('');
      if (said === '') continue;
      delivered = true;
      yield text(said);
    }
    const outcome = step.value;
    const charge = await settle(work.env, ended(work, forwarded.forwarded, outcome, delivered));
    if (outcome.ending === 'node_failed') {
      const reason = delivered ? 'broken_off' : 'node_failed';
      return yield { kind: 'refusal', refusal: { reason } };
    }
    yield text(events.end({ ...outcome, charge }), isWhole(outcome));
  } finally {
    forwarded.forwarded.visit.end();
  }
}

export async function* wholeAnswer(work: AnswerContext): AsyncGenerator<ClientChunk, void> {
  const tried = new Set<string>();
  const purse = new Purse(work.env, work.admission);
  for (;;) {
    const forwarded = await forwardOrVoid(work, tried);
    if (!forwarded.ok) return yield { kind: 'refusal', refusal: forwarded.refusal };
    const whole = work.asked.whole(work.head);
    const chunks = metered(work, forwarded.forwarded, purse);
    let step = await chunks.next();
    for (; !step.done; step = await chunks.next()) for (const chunk of step.value) whole.chunk(chunk);
    const outcome = step.value;
    if (outcome.ending === 'node_failed' && tried.size < ATTEMPTS_MAX) {
      leave(work, forwarded.forwarded, outcome);
      await purse.renew();
      continue;
    }
    const settlement = ended(work, forwarded.forwarded, outcome, false);
    const answer = (charge: NanoUsd) => JSON.stringify(whole.end({ ...outcome, charge }));
    if (outcome.ending !== 'node_failed') work.keep?.({ text: answer(settlement.chargeNanoUsd), settlement });
    const charge = await settle(work.env, settlement);
    if (outcome.ending === 'node_failed')
      return yield { kind: 'refusal', refusal: { reason: 'node_failed' } };
    return yield text(answer(charge), isWhole(outcome));
  }
}

/** An answer that the client left is not one that a retry could be given. */
function isWhole({ ending }: MeteredAnswer): boolean {
  return ending === 'finished' || ending === 'out_of_credit';
}

async function forwardOrVoid(work: AnswerContext, tried: Set<string>) {
  const forwarded = await forward(work, tried);
  if (!forwarded.ok) await voidUnserved(work.env, work.admission, forwarded.nodeId);
  return forwarded;
}

function metered(
  work: AnswerContext,
  forwarded: Forwarded,
  purse: Purse,
): AsyncGenerator<readonly NodeChunk[], MeteredAnswer> {
  const { admission, gone, waitUntil } = work;
  gone.listen(() => waitUntil(forwarded.stream.askToStop().catch(() => undefined)));
  const { promptTokensMax: promptTokens, maxTokens, choices } = admission;
  return meter(forwarded, { promptTokens, completionTokens: maxTokens * choices }, purse, gone);
}

function ended(
  work: AnswerContext,
  forwarded: Forwarded,
  outcome: MeteredAnswer,
  delivered: boolean,
): Settlement {
  leave(work, forwarded, outcome);
  const { stream, ttftMs } = forwarded;
  return settlementOf(work.admission, { ...outcome, nodeId: stream.node.id, ttftMs, delivered });
}

function leave(work: AnswerContext, { visit }: Forwarded, { ending }: MeteredAnswer): void {
  if (ending === 'node_failed') reportFailure(work, visit);
  visit.end();
}
