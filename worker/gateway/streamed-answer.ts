/**
 * Steps 5 to 7 of a request whose answer is a stream: forward, pass on and meter, settle, end. The agent writes the client's
 * own events, so they pass in native code: entering JavaScript for each costs three times as much as passing it on. A tee keeps
 * a second branch for the meter, which looks at it about once a second.
 */
import type { AnswerEnd, PublicError, Tail } from '../../gpu-pool/answers/formatter.ts';
import { streamEnding, streamFormatter } from '../../gpu-pool/answers/formatters.ts';
import type { NanoUsd } from '../domain/money.ts';
import { toNodeUsage } from '../domain/usage.ts';
import type { ApiError } from '../http/api-error.ts';
import {
  type AnswerContext,
  endAttempt,
  failureOf,
  forwardOrVoid,
  isWhole,
  meterOf,
  ranOutError,
  settle,
} from './answer.ts';
import type { Forwarded } from './attempt.ts';
import type { Meter, MeteredAnswer } from './meter.ts';
import type { StreamRecord } from './stream/stream-record.ts';

export interface StreamContext extends AnswerContext {
  readonly record: StreamRecord;
  /** Stores the object of a response; null: it is not stored, or the dialect has none. */
  readonly keep: ((response: object) => void) | null;
  /** The error in the dialect's words. */
  readonly publicError: (error: ApiError) => PublicError;
}

export type BegunStream =
  | { ok: true; passOn(client: WritableStream<Uint8Array>): Promise<void> }
  | { ok: false; error: ApiError };

/** Forwards the request, and waits for the answer's first text: until then a failure has its own HTTP status. */
export async function beginStream(context: StreamContext): Promise<BegunStream> {
  const result = await forwardOrVoid(context, new Set(), () => context.record.begin());
  if (!result.ok) return result;
  const { forwarded } = result;
  try {
    const meter = meterOf(context, forwarded);
    const early = await meter.begin();
    // A short answer comes with its end in one read, and its text is still to be passed on.
    const hasText = (forwarded.reader.marks.last?.events ?? 0) > 0;
    if (early === null || (hasText && isWhole(early)))
      return { ok: true, passOn: (client) => passOn(context, forwarded, { meter, client }) };
    forwarded.toClient!.cancel().catch(() => undefined);
    const charge = await settle(context, endAttempt(context, forwarded, early, false));
    const error = failureOf(context, early) ?? ranOutError(context, early);
    if (error !== null) return { ok: false, error };
    return {
      ok: true,
      passOn: (client) => writeEnd(context, { outcome: early, charge, events: 0 }, client.getWriter()),
    };
  } catch (error) {
    forwarded.attempt.end();
    throw error;
  }
}

async function passOn(
  context: StreamContext,
  forwarded: Forwarded,
  { meter, client }: { meter: Meter; client: WritableStream<Uint8Array> },
): Promise<void> {
  let writer: WritableStreamDefaultWriter<Uint8Array> | null = null;
  const passed = forwarded
    .toClient!.pipeTo(client, { preventClose: true, preventAbort: true })
    .catch(() => {
      // Either side may have broken off. An empty line shows which, and ends what the node may have begun.
      writer = client.getWriter();
      writer.write(ENCODER.encode(EMPTY_LINE)).catch(() => context.disconnect.abort());
    })
    .finally(() => meter.passed());
  try {
    const outcome = await meter.finish(true);
    const charge = await settle(context, endAttempt(context, forwarded, outcome, true));
    await passed;
    const events = forwarded.reader.marks.last?.events ?? 0;
    writer ??= client.getWriter();
    await writeEnd(context, { outcome, charge, events }, writer);
  } finally {
    // After a fault of our own the client's stream is aborted, which a lock would prevent.
    writer?.releaseLock();
    forwarded.attempt.end();
  }
}

interface EndedStream {
  readonly outcome: MeteredAnswer;
  readonly charge: NanoUsd;
  /** How many the agent has written. */
  readonly events: number;
}

const ENCODER = new TextEncoder();
const EMPTY_LINE = '\n\n';

/** Writes the last events. A client that has left gets none, and the request has been settled all the same. */
async function writeEnd(
  context: StreamContext,
  { outcome, charge, events }: EndedStream,
  client: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  const { record, format, keep, publicError } = context;
  const ending = streamEnding(format);
  const { usage, ranOut, end } = outcome;
  const facts: AnswerEnd = { usage: toNodeUsage(usage), chargeNanoUsd: charge, ranOut };
  const { text: closing, tail } = end === null ? cutOff(context, facts) : { text: '', tail: end.tail };
  const text = isWhole(outcome)
    ? closing + ending.end(facts, tail, record.items)
    : ending.failed(publicError({ reason: 'broken_off' }), events);
  const isEnded = isWhole(outcome) && end !== null;
  record.end(text, isEnded);
  await client
    .write(ENCODER.encode(text))
    .then(() => client.close())
    .catch(() => undefined);
  const response = isEnded && keep !== null ? record.response(facts, tail) : null;
  if (response !== null) keep!(response);
}

/**
 * Closes an answer that ran out of credit and whose agent did not say how its part ended, because it could not be asked to stop:
 * as one of which nothing is known but that it was cut off.
 */
function cutOff({ format }: StreamContext, { usage }: AnswerEnd): { text: string; tail: Tail } {
  const { text, tail } = streamFormatter(format).close({ usage, nowMs: Date.now() });
  // The other dialects would begin once more.
  const isList = format.dialect === 'chat' || format.dialect === 'completions';
  return { text: isList ? text : '', tail };
}
