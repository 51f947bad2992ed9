/**
 * Steps 5 to 7 of a request whose answer is one object: forward, meter, settle. It leaves when it is complete, so until then
 * another node can take over from one that failed.
 */
import { endMembers } from '../../gpu-pool/answers/formatters.ts';
import { objectLine } from '../../gpu-pool/answers/marks.ts';
import type { NanoUsd } from '../domain/money.ts';
import { toNodeUsage } from '../domain/usage.ts';
import type { ApiError } from '../http/api-error.ts';
import {
  type AnswerContext,
  endAttempt,
  failureOf,
  forwardOrVoid,
  isWhole,
  leaveNode,
  meterOf,
  ranOutError,
  settle,
} from './answer.ts';
import type { Forwarded } from './attempt.ts';
import { ATTEMPTS_MAX } from './forward.ts';
import type { Settlement } from './hold/request-hold.ts';
import type { MeteredAnswer } from './meter.ts';

export interface KeptAnswer {
  readonly text: string;
  readonly settlement: Settlement;
}

export type WholeResult =
  /** `isWhole`: a retry under the same Idempotency-Key may be given this answer. */
  { ok: true; text: string; isWhole: boolean } | { ok: false; error: ApiError };

/** @param keep called with the answer before it is settled, so that a batch never pays for an answer that it has lost */
export async function wholeAnswer(
  context: AnswerContext,
  keep: (kept: KeptAnswer) => void = () => {},
): Promise<WholeResult> {
  const tried = new Set<string>();
  for (;;) {
    let lines = new Text();
    const result = await forwardOrVoid(context, tried, () => {
      lines = new Text();
      return (bytes) => lines.take(bytes);
    });
    if (!result.ok) return result;
    const { forwarded } = result;
    const outcome = await metered(context, forwarded);
    const object = outcome.end === null ? null : objectLine(lines.text);
    // An agent that ends without the object has not answered.
    const ended: MeteredAnswer =
      object === null && isWhole(outcome) ? { ...outcome, ending: 'node_failed' } : outcome;
    const error = failureOf(context, ended) ?? ranOutError(context, ended);
    // A request that the engine calls the client's mistake would be one at any other node.
    const mayMove = error?.reason === 'node_failed' && ended.nodeError !== 'bad_request';
    if (mayMove && tried.size < ATTEMPTS_MAX) {
      leaveNode(context, forwarded, ended);
      await context.holdWindow.renew();
      continue;
    }
    const settlement = endAttempt(context, forwarded, ended, false);
    const textOf = (charge: NanoUsd) => withEnd(context, object ?? '{}', ended, charge);
    if (!error) keep({ text: textOf(settlement.chargeNanoUsd), settlement });
    const charge = await settle(context, settlement);
    return error ? { ok: false, error } : { ok: true, text: textOf(charge), isWhole: isWhole(ended) };
  }
}

async function metered(context: AnswerContext, forwarded: Forwarded): Promise<MeteredAnswer> {
  try {
    return await meterOf(context, forwarded).finish(false);
  } catch (error) {
    forwarded.attempt.end();
    throw error;
  }
}

/** The agent's object with the members that only the edge knows. It may be long, so it is not parsed. */
function withEnd(
  { format }: AnswerContext,
  object: string,
  { usage, ranOut }: MeteredAnswer,
  charge: NanoUsd,
): string {
  const members = JSON.stringify(
    endMembers(format, { usage: toNodeUsage(usage), chargeNanoUsd: charge, ranOut }),
  );
  return `${object.slice(0, -1)},${members.slice(1)}`;
}

class Text {
  text = '';
  readonly #utf8 = new TextDecoder();

  take(bytes: Uint8Array): void {
    this.text += this.#utf8.decode(bytes, { stream: true });
  }
}
