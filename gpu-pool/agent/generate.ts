/**
 * The way of one request, top to bottom: verify the token, read the body, open the journal, ask the engine,
 * pass its answer on, close the journal, end the answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GenerateRequest } from '../protocol/schemas.ts';
import { ActiveRequest } from './active-requests.ts';
import { Answer } from './answer.ts';
import { readJsonBody } from './body.ts';
import type { GenerateContext } from './generate-context.ts';
import { isRequestError, type RequestError, sendError } from './request-error.ts';
import { type Ending, Run } from './run.ts';

export async function generate(
  context: GenerateContext,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const admitted = await admit(context, req);
  if (isRequestError(admitted)) {
    context.metrics.refusal(admitted.code);
    return sendError(res, admitted);
  }
  const { flight, request, seq } = admitted;
  const answer = new Answer(res, {
    readerDeadlineMs: context.deadlines.idleMs,
    onGone: () => flight.abort('gone'),
  });
  if (res.destroyed) flight.abort('gone');

  const run = new Run(context, { flight, request, seq, answer });
  // A bug here must still close the journal, or the request would count as running for ever.
  const ending = await run.toTheEnd().catch((error: unknown): Ending => {
    context.log('bug', { name: error instanceof Error ? error.name : 'unknown' });
    return { kind: 'failed', refusal: { code: 'engine_failed', message: 'The agent failed.' } };
  });
  const receipt = run.receipt(ending);
  // The disk failing must not cost the caller the answer: the receipt then lives in memory until acknowledged.
  await context.journal.closed(receipt).catch(() => {
    context.metrics.journalFailure('closed');
    context.log('journal_write_failed', { seq });
  });
  context.metrics.receipt(receipt);
  if (ending.kind === 'failed') context.metrics.refusal(ending.refusal.code);
  context.log('request', {
    request: receipt.request_id,
    outcome: receipt.outcome,
    error: ending.kind === 'failed' ? ending.refusal.code : null,
    ms: receipt.ended_at_ms - receipt.started_at_ms,
    completion_tokens: receipt.usage.completion_tokens,
  });

  if (ending.kind === 'finished') answer.done();
  else if (ending.kind === 'aborted') answer.doneEarly(receipt.usage);
  else answer.refuse(ending.refusal);
  context.flights.land(flight);
  context.aborts.landed(flight, { engineEnded: run.engineEnded });
  context.onReceipt();
}

/** Everything before the engine hears of a request. What is refused here leaves no receipt. */
async function admit(
  context: GenerateContext,
  req: IncomingMessage,
): Promise<{ flight: ActiveRequest; request: GenerateRequest; seq: number } | RequestError> {
  const { engine, watch, deadlines, flights, journal, now } = context;
  const token = await context.verifyToken(req.headers);
  if (isRequestError(token)) return token;
  if (!context.serving()) return { code: 'overloaded', message: 'This node takes no new requests.' };
  // What answers after a crash may be another engine, so nothing goes there until it has been looked at.
  if (!watch.healthy) return { code: 'engine_failed', message: 'The engine of this node is not healthy.' };
  // Here to spare the reading, and in `admit` again for what came in meanwhile.
  const overfull = flights.overfull({ choices: 1, room: watch.room });
  if (overfull !== null) return overfull;
  const body = await readJsonBody(req);
  if (isRequestError(body)) return body;
  const request = GenerateRequest.safeParse(body.json);
  const hasOne =
    request.success && (request.data.messages === undefined) !== (request.data.prompt === undefined);
  if (!hasOne) return { code: 'bad_request', message: 'The body is outside the protocol.' };

  const { claims } = token;
  const { abortGraceMs } = deadlines;
  const choices = request.data.n ?? 1;
  const flight = flights.admit(token, {
    choices,
    room: watch.room,
    create: () => new ActiveRequest({ claims, choices, engine, startedAtMs: now(), abortGraceMs }),
  });
  if (isRequestError(flight)) return flight;
  try {
    const seq = await journal.opened({
      request_id: claims.jti,
      account_id: claims.sub,
      model: claims.model,
      started_at_ms: flight.startedAtMs,
      expires_at_ms: token.expiresAtMs,
      ticket: claims.ticket,
    });
    return { flight, request: request.data, seq };
  } catch {
    flights.land(flight);
    context.metrics.journalFailure('opened');
    context.log('journal_write_failed', { request: claims.jti });
    // not overloaded: an idle node that refuses everything would draw everything
    return { code: 'engine_failed', message: 'This node cannot write its journal.' };
  }
}
