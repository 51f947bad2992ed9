/**
 * A request for an answer, in whatever dialect, from top to bottom: authenticate, read, then `serve` admits, routes,
 * forwards, meters and settles. Streamed or not, the engine always streams: one way to meter, one to notice who left.
 */
import { findModel, type Model } from '../db/catalogue.ts';
import { config } from '../env.ts';
import { CAN_INFER, identify } from '../http/access.ts';
import { type ApiError, envelope, errorResponseWith } from '../http/api-error.ts';
import { readJsonObject } from '../http/read-body.ts';
import { type ApiContext, collectResponseHeaders, responseHeaders } from '../http/response-headers.ts';
import { describeError } from '../lib/describe-error.ts';
import type { ChatRequest } from './dialects/chat-request.ts';
import type { AnswerHead, Dialect } from './dialects/dialect.ts';
import { beginIdempotent } from './idempotency/idempotency.ts';
import { catalogue } from './model-cache.ts';
import { Deadlines } from './node/deadlines.ts';
import { serve } from './serve.ts';
import { voidUnserved } from './settle.ts';
import type { ClientChunk } from './stream/client-chunk.ts';
import { clientStream } from './stream/client-stream.ts';
import { ClientDisconnect } from './stream/disconnect.ts';
import { withKeepAlive } from './stream/keep-alive.ts';

/** The handler of the routes that speak a dialect. */
export function generate(speak: () => Promise<Dialect>) {
  return async function generateIn(c: ApiContext): Promise<Response> {
    const dialect = await speak();
    const { env } = c;
    const { publicOrigin } = config(env);
    const requestId = c.get('requestId');
    const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
    const bodyOf = (refusal: ApiError) => dialect.errorBody(envelope(refusal, publicOrigin), requestId);
    const refuse = (refusal: ApiError) => errorResponseWith(refusal, bodyOf(refusal));

    const earlyMs = Date.now();
    const early = await identify(c, CAN_INFER, earlyMs);
    if (!early.ok) return refuse(early.refusal);

    const read = await readJsonObject(c.req.raw);
    if (!read.ok) return refuse(read.refusal);
    // a body may take its time: price, limits and the key itself are those of now
    const nowMs = Date.now();
    const who = nowMs - earlyMs < SAME_MOMENT_MS ? early : await identify(c, CAN_INFER, nowMs);
    if (!who.ok) return refuse(who.refusal);
    const { principal } = who;
    const understood = dialect.read(read.body, c.req.raw.headers);
    if (!understood.ok) return refuse(understood.refusal);
    const { dialectRequest } = understood;
    const models = await catalogue(env, nowMs);
    const model = findModel(models, dialectRequest.request.model);
    if (!model)
      return refuse({
        reason: 'model_not_found',
        requested: dialectRequest.request.model,
        available: models.map(({ id }) => id),
      });
    const unsupported = unsupportedBy(model, dialectRequest.request);
    if (unsupported) return refuse(unsupported);

    const { headers } = c.req.raw;
    const begun = await beginIdempotent(env, { headers, bytes: read.bytes, principal, requestId, waitUntil });
    if (begun.kind === 'refusal') return refuse(begun.refusal);
    const bodyHeaders = dialectRequest.request.stream ? EVENT_STREAM : JSON_BODY;
    if (begun.kind === 'replay') {
      const kept = { ...bodyHeaders, ...responseHeaders(begun), 'idempotent-replayed': 'true' };
      return new Response(begun.body, { headers: kept });
    }
    const { run } = begun;

    const gone = new ClientDisconnect();
    const alarms = new Deadlines();
    // not before somebody waits: to listen to the runtime costs as much as to answer from an idle node
    const listen = () => gone.follow(c.req.raw.signal);
    const head: AnswerHead = { requestId, createdAtMs: nowMs, modelId: model.id, revision: model.revision };
    const events = dialectRequest.request.stream ? dialectRequest.events(head) : null;

    const answer = async (): Promise<Response> => {
      const served = await serve(env, {
        principal,
        asked: dialectRequest,
        head,
        events,
        model,
        tariff: 'standard',
        isKeyed: headers.has('idempotency-key'),
        nowMs,
        gone,
        alarms,
        waitUntil,
      });
      if (served.rateLimit) c.set('rateLimit', served.rateLimit);
      const headed = async () => ({ ...bodyHeaders, ...(await collectResponseHeaders(c)) });
      if (!served.ok) {
        await run.abandon();
        return refuse(served.refusal);
      }
      const pieces = withKeepAlive(run.record(served.pieces), alarms.newDeadline(), listen);
      const first = (await pieces.next()).value!;
      if (first.kind === 'refusal') {
        await run.abandon();
        return refuse(first.refusal);
      }
      if (events === null && first.kind === 'text') {
        // it is whole: what is left is to keep it
        await pieces.next();
        return new Response(first.text, { headers: await headed() });
      }
      const textOf = (piece: ClientChunk): string => {
        if (piece.kind === 'text') return piece.text;
        if (piece.kind === 'blank') return events ? COMMENT : BLANK_LINE;
        // something has left already, so it can only be said in the body
        const { error } = envelope(piece.refusal, publicOrigin);
        return events ? events.failed(error) : JSON.stringify(bodyOf(piece.refusal));
      };
      const { body, ended } = clientStream(textOf(first), mapped(pieces, textOf), () => gone.abort());
      waitUntil(ended);
      return new Response(body, { headers: await headed() });
    };

    const answered = answer().catch(async (error: unknown) => {
      console.error(JSON.stringify({ event: 'request_failed', requestId, error: describeError(error) }));
      await voidUnserved(env, { requestId, accountId: principal.accountId }, null);
      await run.abandon().catch(() => undefined);
      return refuse({ reason: 'internal' });
    });
    // a client that leaves must not take the settlement with it
    waitUntil(answered);
    return answered;
  };
}

/** A body that was this quick needs no second look at its key, which may be seconds old anyway (authenticate.ts). */
const SAME_MOMENT_MS = 100;

/** Compression on the way would hold blank lines and events back until it has a block full. */
const AS_IT_COMES = { 'cache-control': 'no-cache, no-transform', 'content-encoding': 'identity' };
const EVENT_STREAM = { 'content-type': 'text/event-stream; charset=utf-8', ...AS_IT_COMES };
const JSON_BODY = { 'content-type': 'application/json', ...AS_IT_COMES };

/** DeepSeek's ways to keep a waiting connection alive: readers of events and of JSON skip them. */
const COMMENT = ': keep-alive\n\n';
const BLANK_LINE = '\n';

async function* mapped<A, B>(source: AsyncGenerator<A, void>, map: (value: A) => B): AsyncGenerator<B, void> {
  for await (const value of source) yield map(value);
}

function unsupportedBy(model: Model, request: ChatRequest): ApiError | null {
  const { logprobs, top_logprobs } = request.generate;
  if (!model.reasoning || (!logprobs && top_logprobs === undefined)) return null;
  const param = logprobs ? 'logprobs' : 'top_logprobs';
  const message = `\`${param}\`: not available for ${model.id}, a reasoning model. Leave it out.`;
  return { reason: 'invalid_field', param, message };
}
