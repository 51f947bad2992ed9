/**
 * POST /v1/chat/completions, from top to bottom: authenticate, read, admit, route, then forward, meter and settle.
 * Streamed or not, the engine always streams: one way to meter, one way to notice that the client left.
 */
import type { Context } from 'hono';
import { findModel, type Model } from '../db/catalogue.ts';
import { describeError } from '../describe-error.ts';
import { tokenEstimate } from '../domain/hold.ts';
import { newId } from '../domain/ids.ts';
import type { RouteRequest } from '../domain/routing/policy.ts';
import type { RateLimitState } from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';
import { type Admission, admit } from './admit.ts';
import { type Piece, streamedAnswer, type Work, wholeAnswer } from './answer.ts';
import { authenticate } from './authenticate.ts';
import { cacheSalt } from './cache-salt.ts';
import type { ChatRequest } from './chat-request.ts';
import { clientStream } from './client-stream.ts';
import { readChatRequest } from './dialects/openai-chat-request.ts';
import { beginOnce } from './idempotency.ts';
import { catalogue, poolSnapshot } from './isolate.ts';
import { readJsonObject } from './read.ts';
import { envelope, type Refusal, refusalResponse } from './refusal.ts';
import { affinityKey, overloadMs } from './route.ts';
import { voidUnserved } from './settle.ts';

export async function chatCompletions(c: Context<{ Bindings: Env }>): Promise<Response> {
  const { env } = c;
  const { publicOrigin } = config(env);
  const startedMs = Date.now();
  const requestId = newId('req', startedMs);
  const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
  const reply = (response: Response, rateLimit?: RateLimitState) =>
    withHeaders(response, { requestId, startedMs, rateLimit });
  const refuse = (refusal: Refusal, rateLimit?: RateLimitState) =>
    reply(refusalResponse(refusal, publicOrigin), rateLimit);

  const early = await authenticate(c.req.raw, env, startedMs);
  if (!early.ok) return refuse(early.refusal);

  const read = await readJsonObject(c.req.raw);
  if (!read.ok) return refuse(read.refusal);
  // a body may take its time: price, limits and the key itself are those of now, from the cache if it was quick
  const nowMs = Date.now();
  const who = await authenticate(c.req.raw, env, nowMs);
  if (!who.ok) return refuse(who.refusal);
  const chat = readChatRequest(read.body, c.req.raw.headers);
  if (!chat.ok) return refuse(chat.refusal);
  const { request } = chat;
  const models = await catalogue(env, nowMs);
  const model = findModel(models, request.model);
  if (!model) return refuse({ reason: 'model_not_found', available: models.map(({ id }) => id) });
  const unsupported = unsupportedBy(model, request);
  if (unsupported) return refuse(unsupported);

  const begun = await beginOnce(env, {
    headers: c.req.raw.headers,
    bytes: read.bytes,
    principal: who.principal,
    requestId,
    waitUntil,
  });
  if (begun.kind === 'refusal') return refuse(begun.refusal);
  const bodyHeaders = request.stream ? EVENT_STREAM : JSON_BODY;
  if (begun.kind === 'replay') {
    const kept = new Response(begun.body, { headers: { ...bodyHeaders, 'idempotent-replayed': 'true' } });
    return withHeaders(kept, { requestId: begun.requestId, startedMs });
  }
  const { once } = begun;

  const failed = async (error: unknown) => {
    console.error(JSON.stringify({ event: 'request_failed', requestId, error: describeError(error) }));
    await voidUnserved(env, { requestId, accountId: who.principal.accountId }, null);
    await once.abandon().catch(() => undefined);
    return refuse({ reason: 'internal' });
  };

  // refused before it costs anybody anything: what waits already keeps its place
  const pool = () => poolSnapshot(env, model.id, Date.now(), waitUntil);
  const busyMs = await pool().then(
    (snapshot) => overloadMs(snapshot, Date.now()),
    () => null,
  );
  if (busyMs !== null) {
    await once.abandon();
    return refuse({ reason: 'overloaded', retryAfterMs: busyMs });
  }

  const salt = await cacheSalt(env, who.principal.accountId);
  const conversation = affinityKey(request, model.id, salt);
  const { principal } = who;
  const admitting = admit(env, { requestId, principal, request, model, conversation, nowMs });
  const admitted = await admitting.catch((error: unknown) => ({ ok: null, error }) as const);
  if (admitted.ok === null) return failed(admitted.error);
  if (!admitted.ok) {
    await once.abandon();
    return refuse(admitted.refusal, admitted.rateLimit);
  }
  const { admission } = admitted;

  const gone = new AbortController();
  const { signal } = c.req.raw;
  if (signal.aborted) gone.abort();
  else signal.addEventListener('abort', () => gone.abort(), { once: true });
  const answer = async (): Promise<Response> => {
    const work: Work = {
      env,
      admission,
      request,
      body: { ...request.generate, max_tokens: admission.maxTokens, cache_salt: salt },
      pool,
      route: routeOf(request, admission),
      gone: gone.signal,
      waitUntil,
    };
    const pieces = once.keeping(request.stream ? streamedAnswer(work) : wholeAnswer(work));
    const first = (await pieces.next()).value!;
    if (first.kind === 'refusal') {
      await once.abandon();
      return refuse(first.refusal, admission.rateLimit);
    }
    const text = (piece: Piece) => textOf(piece, publicOrigin);
    const { body, ended } = clientStream(text(first), mapped(pieces, text), () => gone.abort());
    waitUntil(ended);
    return reply(new Response(body, { headers: bodyHeaders }), admission.rateLimit);
  };

  const answered = answer().catch(failed);
  // a client that leaves must not take the settlement with it
  waitUntil(answered);
  return answered;
}

function routeOf({ contentBytes }: ChatRequest, { conversation, home }: Admission): RouteRequest {
  const promptTokens = tokenEstimate({ contentBytes, maxTokens: 0, choices: 1 });
  const known = home && { nodeId: home.nodeId, cachedTokens: Math.min(home.promptTokens, promptTokens) };
  return { affinity: conversation, promptTokens, home: known };
}

/** Compression on the way would hold blank lines and events back until it has a block full. */
const AS_IT_COMES = { 'cache-control': 'no-cache, no-transform', 'content-encoding': 'identity' };
const EVENT_STREAM = { 'content-type': 'text/event-stream; charset=utf-8', ...AS_IT_COMES };
const JSON_BODY = { 'content-type': 'application/json', ...AS_IT_COMES };

/** DeepSeek's way to keep a waiting connection alive; JSON readers skip it. It also shows us whether anyone listens. */
const BLANK_LINE = '\n';

function textOf(piece: Piece, origin: string): string {
  switch (piece.kind) {
    case 'text':
      return piece.text;
    case 'blank':
      return BLANK_LINE;
    case 'refusal':
      // something has left already, so it can only be said in the body
      return JSON.stringify(envelope(piece.refusal, origin));
  }
}

async function* mapped<A, B>(source: AsyncGenerator<A, void>, map: (value: A) => B): AsyncGenerator<B, void> {
  for await (const value of source) yield map(value);
}

function unsupportedBy(model: Model, request: ChatRequest): Refusal | null {
  const { logprobs, top_logprobs } = request.generate;
  if (!model.reasoning || (!logprobs && top_logprobs === undefined)) return null;
  const param = logprobs ? 'logprobs' : 'top_logprobs';
  const message = `\`${param}\`: not available for ${model.id}, a reasoning model. Leave it out.`;
  return { reason: 'invalid_field', param, message };
}

function withHeaders(
  response: Response,
  answer: { requestId: string; startedMs: number; rateLimit?: RateLimitState | undefined },
): Response {
  const { requestId, startedMs, rateLimit } = answer;
  response.headers.set('x-request-id', requestId);
  response.headers.set('request-id', requestId);
  response.headers.set('openai-processing-ms', String(Date.now() - startedMs));
  if (rateLimit) {
    for (const kind of ['requests', 'tokens'] as const) {
      const state = rateLimit[kind];
      if (state === null) continue;
      response.headers.set(`x-ratelimit-limit-${kind}`, String(state.limit));
      response.headers.set(`x-ratelimit-remaining-${kind}`, String(state.remaining));
      response.headers.set(`x-ratelimit-reset-${kind}`, `${Math.ceil(state.resetMs / 1000)}s`);
    }
  }
  return response;
}
