/**
 * The lifecycle of one request: verify the token, read the body, open the journal, run the request at the engine,
 * pass its answer on, end it, close the journal.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GenerateRequest } from '../protocol/schemas.ts';
import { ActiveRequest } from './active-requests.ts';
import { Answer } from './answer.ts';
import { answerBody } from './answer-body.ts';
import { readJsonBody } from './body.ts';
import { EngineRun } from './engine-run.ts';
import type { GenerateContext } from './generate-context.ts';
import { isRequestError, type RequestError, sendError } from './request-error.ts';
import type { EngineRunResult } from './run-result.ts';

export async function generate(
  context: GenerateContext,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const admitted = await admit(context, req);
  if (isRequestError(admitted)) {
    context.metrics.requestError(admitted.code);
    return sendError(res, admitted);
  }
  const { activeRequest, request, seq } = admitted;
  const answer = new Answer(res, answerBody(request, activeRequest.startedAtMs, context.now), {
    readerDeadlineMs: context.deadlines.idleMs,
    aborted: () => activeRequest.signal,
    onDisconnect: () => activeRequest.abort('disconnect'),
  });
  activeRequest.setExtendCallback((heldNanoUsd) => answer.extend(heldNanoUsd));
  if (res.destroyed) activeRequest.abort('disconnect');

  const run = new EngineRun(context, { activeRequest, request, seq, answer });
  // A bug here must still close the journal, or the request would count as running for ever.
  const result = await run.execute().catch((error: unknown): EngineRunResult => {
    context.log('bug', { name: error instanceof Error ? error.name : 'unknown' });
    return { kind: 'failed', error: { code: 'engine_failed', message: 'The agent failed.' } };
  });
  const receipt = run.receipt(result);
  const journaled = context.journal.closed(receipt);
  // The answer does not wait for the disk. Should the agent die before it, the receipt is 'lost', as in the middle of one.
  answer.end(result, receipt.usage);
  context.activeRequests.remove(activeRequest);
  context.aborts.requestEnded(activeRequest, { engineEnded: run.engineEnded });
  context.metrics.receipt(receipt);
  if (result.kind === 'failed') context.metrics.requestError(result.error.code);
  context.log('request', {
    request: receipt.request_id,
    outcome: receipt.outcome,
    error: result.kind === 'failed' ? result.error.code : null,
    ms: receipt.ended_at_ms - receipt.started_at_ms,
    completion_tokens: receipt.usage.completion_tokens,
  });
  // A failing disk must not cost the edge the receipt: it then stays in memory until it is acknowledged.
  await journaled.catch(() => {
    context.metrics.journalFailure('closed');
    context.log('journal_write_failed', { seq });
  });
  context.onReceipt();
}

/** Everything before the engine receives a request. A request that is refused here leaves no receipt. */
async function admit(
  context: GenerateContext,
  req: IncomingMessage,
): Promise<{ activeRequest: ActiveRequest; request: GenerateRequest; seq: number } | RequestError> {
  const { engine, watch, deadlines, activeRequests, journal, now } = context;
  const token = await context.verifyToken(req.headers);
  if (isRequestError(token)) return token;
  if (!context.serving()) return { code: 'overloaded', message: 'This node accepts no new requests.' };
  // After a crash another engine may answer, so no request goes there before an inspection.
  if (!watch.healthy) return { code: 'engine_failed', message: 'This node’s engine is unhealthy.' };
  // This check spares reading the body; `ActiveRequests.admit` checks again for requests that arrived meanwhile.
  const { sequencesMax } = watch;
  const capacityError = activeRequests.capacityError({ choices: 1, background: false, sequencesMax });
  if (capacityError !== null) return capacityError;
  const body = await readJsonBody(req);
  if (isRequestError(body)) return body;
  const request = GenerateRequest.safeParse(body.json);
  const hasOneInput =
    request.success && (request.data.messages === undefined) !== (request.data.prompt === undefined);
  if (!hasOneInput) return { code: 'bad_request', message: 'The request body does not follow the protocol.' };

  const { claims } = token;
  const { abortGraceMs } = deadlines;
  const { n: choices = 1, background = false } = request.data;
  const activeRequest = activeRequests.admit(token, {
    ...{ choices, background, sequencesMax: watch.sequencesMax },
    create: () =>
      new ActiveRequest({ claims, choices, background, engine, startedAtMs: now(), abortGraceMs }),
  });
  if (isRequestError(activeRequest)) return activeRequest;
  try {
    const seq = await journal.opened({
      request_id: claims.jti,
      account_id: claims.sub,
      model: claims.model,
      started_at_ms: activeRequest.startedAtMs,
      expires_at_ms: token.expiresAtMs,
      ticket: claims.ticket,
    });
    return { activeRequest, request: request.data, seq };
  } catch {
    activeRequests.remove(activeRequest);
    context.metrics.journalFailure('opened');
    context.log('journal_write_failed', { request: claims.jti });
    // The code is not `overloaded`: an idle node that refuses every request with it would attract all of them.
    return { code: 'engine_failed', message: 'This node cannot write its journal.' };
  }
}
