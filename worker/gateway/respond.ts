/**
 * The response to an admitted request. While the answer has not begun, the edge keeps the client's connection alive; once
 * something of that has left, an error can only be reported in the body.
 */
import { streamEnding } from '../../gpu-pool/answers/formatters.ts';
import type { ApiError } from '../http/api-error.ts';
import { describeError } from '../lib/describe-error.ts';
import type { AnswerContext } from './answer.ts';
import type { AnswerRecorder } from './idempotency/idempotent-run.ts';
import type { Deadline } from './node/deadlines.ts';
import { ALIVE, keepAliveUntil, withinGrace } from './stream/keep-alive.ts';
import { beginStream, type StreamContext } from './streamed-answer.ts';
import { type WholeResult, wholeAnswer } from './whole-answer.ts';

/** A response, and when all that belongs to its request is done. */
export interface Handled {
  readonly response: Response;
  readonly done: Promise<unknown>;
}

export function handled(response: Response): Handled {
  return { response, done: Promise.resolve() };
}

/** The parts of a response that its answer does not decide. */
export interface Reply {
  /** One of the request's deadlines, for the response alone. */
  readonly deadline: Deadline;
  /** Called when the client has to wait. */
  readonly onWaiting: () => void;
  readonly headers: () => Promise<Record<string, string>>;
  readonly refuse: (error: ApiError) => Promise<Handled>;
}

export async function streamResponse(context: StreamContext, reply: Reply): Promise<Handled> {
  const { deadline, onWaiting } = reply;
  const beginning = beginStream(context);
  const early = await withinGrace(beginning, deadline, onWaiting);
  if (early?.ok === false) return reply.refuse(early.error);
  const { readable, writable } = new IdentityTransformStream();
  const passed = early === null ? passLate() : early.passOn(writable);
  const done = passed.catch((error: unknown) => broken(context, writable, error));
  return { response: new Response(readable, { headers: await reply.headers() }), done };

  async function passLate(): Promise<void> {
    const writer = writable.getWriter();
    const begun = await keepAliveUntil(beginning, deadline, () => write(context, writer, ALIVE.event)).catch(
      (error: unknown) => unlocked(writer, error),
    );
    if (begun.ok) {
      writer.releaseLock();
      return begun.passOn(writable);
    }
    context.record.end('', false);
    write(context, writer, streamEnding(context.format).failed(context.publicError(begun.error), 0));
    await writer.close().catch(() => undefined);
  }
}

export interface WholeContext extends AnswerContext {
  readonly recorder: AnswerRecorder | null;
  /** Stores the object of a response; null: it is not stored, or the dialect has none. */
  readonly keep: ((response: object) => void) | null;
  /** The body of an error, in the dialect's form. */
  readonly errorBody: (error: ApiError) => object;
}

export async function wholeResponse(context: WholeContext, reply: Reply): Promise<Handled> {
  const { deadline, onWaiting } = reply;
  const answering = wholeAnswer(context);
  const early = await withinGrace(answering, deadline, onWaiting);
  if (early?.ok === false) return reply.refuse(early.error);
  if (early !== null) {
    const headers = await reply.headers();
    return handled(new Response(recorded(context, early), { headers }));
  }
  const { readable, writable } = new IdentityTransformStream();
  const done = answerLate().catch((error: unknown) => broken(context, writable, error));
  return { response: new Response(readable, { headers: await reply.headers() }), done };

  async function answerLate(): Promise<void> {
    const writer = writable.getWriter();
    const result = await keepAliveUntil(answering, deadline, () => write(context, writer, ALIVE.json)).catch(
      (error: unknown) => unlocked(writer, error),
    );
    write(context, writer, recorded(context, result));
    await writer.close().catch(() => undefined);
  }
}

/** @returns the body, of which a retry gets the same and a later turn the object */
function recorded({ recorder, keep, errorBody }: WholeContext, result: WholeResult): string {
  if (result.ok) recorder?.write(result.text);
  recorder?.end(result.ok && result.isWhole);
  if (!result.ok) return JSON.stringify(errorBody(result.error));
  if (keep !== null && result.isWhole) keep(JSON.parse(result.text));
  return result.text;
}

const ENCODER = new TextEncoder();

/** A write that fails shows that the client has left. */
function write(
  { disconnect }: AnswerContext,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  text: string,
): void {
  writer.write(ENCODER.encode(text)).catch(() => disconnect.abort());
}

/** Passes an error on, and lets go of the stream: one that is locked cannot be aborted, and its client would wait for ever. */
function unlocked(writer: WritableStreamDefaultWriter<Uint8Array>, error: unknown): never {
  writer.releaseLock();
  throw error;
}

/** A fault of our own, after the response has begun. */
async function broken(
  { admission: { requestId } }: AnswerContext,
  client: WritableStream<Uint8Array>,
  error: unknown,
): Promise<void> {
  console.error(JSON.stringify({ event: 'request_failed', requestId, error: describeError(error) }));
  await client.abort(error).catch(() => undefined);
}
