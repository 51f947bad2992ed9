/**
 * POST /v1/chat/completions, from top to bottom: authenticate, read, admit, route, forward, meter, settle.
 * Streamed or not, the engine always streams: one way to meter, one way to notice that the client left.
 */
import type { Context } from 'hono';
import type { NodeChunk } from '../../gpu-pool/protocol.ts';
import { findModel, type Model } from '../db/catalogue.ts';
import { newId } from '../domain/ids.ts';
import { sseEvent } from '../domain/sse.ts';
import type { RateLimitState } from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';
import { type Admission, admit } from './admit.ts';
import { authenticate } from './authenticate.ts';
import { cacheSalt } from './cache-salt.ts';
import type { ChatRequest } from './chat-request.ts';
import { clientStream } from './client-stream.ts';
import { ChatAssembler, ChatStreamWriter } from './dialects/openai-chat-answer.ts';
import { readChatRequest } from './dialects/openai-chat-request.ts';
import { type Forwarded, forward } from './forward.ts';
import { catalogue, poolSnapshot } from './isolate.ts';
import { meter, type Outcome, type Purse } from './meter.ts';
import { readJsonObject } from './read.ts';
import { envelope, type Refusal, refusalResponse } from './refusal.ts';
import { affinityKey } from './route.ts';
import { settle, voidUnserved } from './settle.ts';

export async function chatCompletions(c: Context<{ Bindings: Env }>): Promise<Response> {
  const { env } = c;
  const nowMs = Date.now();
  const requestId = newId('req', nowMs);
  const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
  const reply = (response: Response, rateLimit?: RateLimitState) =>
    withHeaders(response, { requestId, startedMs: nowMs, rateLimit });
  const refuse = (refusal: Refusal, rateLimit?: RateLimitState) =>
    reply(refusalResponse(refusal, config(env).publicOrigin), rateLimit);

  const who = await authenticate(c.req.raw, env, nowMs);
  if (!who.ok) return refuse(who.refusal);

  const read = await readJsonObject(c.req.raw);
  if (!read.ok) return refuse(read.refusal);
  const chat = readChatRequest(read.body);
  if (!chat.ok) return refuse(chat.refusal);
  const { request } = chat;
  const models = await catalogue(env, nowMs);
  const model = findModel(models, request.model);
  if (!model) return refuse({ reason: 'model_not_found', available: models.map(({ id }) => id) });
  const unsupported = unsupportedBy(model, request);
  if (unsupported) return refuse(unsupported);

  const admitted = await admit(env, { requestId, principal: who.principal, request, model, nowMs });
  if (!admitted.ok) return refuse(admitted.refusal, admitted.rateLimit);
  const { admission } = admitted;

  const gone = new AbortController();
  c.req.raw.signal.addEventListener('abort', () => gone.abort());
  const serve = async (): Promise<Response> => {
    const salt = await cacheSalt(env, admission.accountId);
    const forwarded = await forward(env, {
      admission,
      body: { ...request.generate, max_tokens: admission.maxTokens, cache_salt: salt },
      snapshot: await poolSnapshot(env, model.id, nowMs, waitUntil),
      affinity: affinityKey(request, model.id, salt),
      signal: gone.signal,
      waitUntil,
    });
    if (!forwarded.ok) {
      await voidUnserved(env, admission, forwarded.nodeId);
      return refuse(forwarded.refusal, admission.rateLimit);
    }
    const answer = new Answer(env, admission, request, forwarded.forwarded, gone.signal, waitUntil);
    if (!request.stream) return reply(await answer.whole(), admission.rateLimit);
    const { body, ended } = clientStream(answer.events(), () => gone.abort());
    waitUntil(ended);
    return reply(new Response(body, { headers: EVENT_STREAM }), admission.rateLimit);
  };

  const served = serve().catch(async (error) => {
    console.error(JSON.stringify({ event: 'request_failed', requestId, error: String(error) }));
    await voidUnserved(env, admission, null);
    return refuse({ reason: 'internal' });
  });
  // a client that leaves must not take the settlement with it
  waitUntil(served);
  return served;
}

const EVENT_STREAM = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' };

/** One answer on its way from node to client: steps 6 and 7, in the dialect's clothes. */
class Answer {
  readonly #env: Env;
  readonly #admission: Admission;
  readonly #request: ChatRequest;
  readonly #forwarded: Forwarded;
  readonly #gone: AbortSignal;

  constructor(
    env: Env,
    admission: Admission,
    request: ChatRequest,
    forwarded: Forwarded,
    gone: AbortSignal,
    waitUntil: (promise: Promise<unknown>) => void,
  ) {
    this.#env = env;
    this.#admission = admission;
    this.#request = request;
    this.#forwarded = forwarded;
    this.#gone = gone;
    const stop = () => waitUntil(forwarded.stream.askToStop().catch(() => undefined));
    if (gone.aborted) stop();
    else gone.addEventListener('abort', stop, { once: true });
  }

  /** The text of a streamed answer, event by event. */
  async *events(): AsyncGenerator<string, void> {
    const writer = new ChatStreamWriter(this.#head(), this.#request);
    const chunks = this.#metered();
    let delivered = false;
    let step = await chunks.next();
    for (; !step.done; step = await chunks.next()) {
      const text = writer.chunk(step.value);
      if (text === '') continue;
      delivered = true;
      yield text;
    }
    const outcome = step.value;
    const charge = await this.#settle(outcome, delivered);
    if (outcome.ending === 'node_failed') {
      yield sseEvent(JSON.stringify(this.#brokenOff(delivered)));
      return;
    }
    yield writer.end({ usage: outcome.usage, charge, outOfCredit: outcome.ending === 'out_of_credit' });
  }

  /** The answer as one JSON object; a node that fails on the way costs nothing, since nothing was delivered. */
  async whole(): Promise<Response> {
    const assembler = new ChatAssembler(this.#head(), this.#request);
    const chunks = this.#metered();
    let step = await chunks.next();
    for (; !step.done; step = await chunks.next()) assembler.chunk(step.value);
    const outcome = step.value;
    const charge = await this.#settle(outcome, false);
    if (outcome.ending === 'node_failed') {
      return refusalResponse({ reason: 'node_failed' }, config(this.#env).publicOrigin);
    }
    const outOfCredit = outcome.ending === 'out_of_credit';
    return Response.json(assembler.end({ usage: outcome.usage, charge, outOfCredit }));
  }

  #metered(): AsyncGenerator<NodeChunk, Outcome> {
    const { requestId, accountId } = this.#admission;
    const wallet = this.#env.WALLET.getByName(accountId);
    const purse: Purse = {
      leaseMs: config(this.#env).holdLeaseMs,
      resize: async (wantedNanoUsd) =>
        (await wallet.resize({ requestId, wantedNanoUsd }))?.heldNanoUsd ?? null,
    };
    return meter(this.#forwarded, this.#admission, purse, this.#gone);
  }

  async #settle(outcome: Outcome, delivered: boolean) {
    const { stream, ttftMs, release } = this.#forwarded;
    release();
    return settle(this.#env, this.#admission, { ...outcome, nodeId: stream.node.id, ttftMs, delivered });
  }

  #brokenOff(delivered: boolean) {
    const { error } = envelope({ reason: 'node_failed' }, config(this.#env).publicOrigin);
    const message = delivered
      ? 'The node failed in the middle of the answer. Only what you received was charged; try again.'
      : error.message;
    return { error: { ...error, message } };
  }

  #head() {
    const { requestId, model } = this.#admission;
    return {
      id: requestId,
      created: Math.floor(Date.now() / 1000),
      model: model.id,
      system_fingerprint: model.revision,
    };
  }
}

function unsupportedBy(model: Model, request: ChatRequest): Refusal | null {
  const { logprobs, top_logprobs } = request.generate;
  if (!model.reasoning || (!logprobs && top_logprobs === undefined)) return null;
  const param = logprobs ? 'logprobs' : 'top_logprobs';
  return {
    reason: 'invalid_field',
    param,
    message: `\`${param}\`: not available for ${model.id}, a reasoning model. Leave it out.`,
  };
}

function withHeaders(
  response: Response,
  {
    requestId,
    startedMs,
    rateLimit,
  }: { requestId: string; startedMs: number; rateLimit?: RateLimitState | undefined },
): Response {
  response.headers.set('x-request-id', requestId);
  response.headers.set('request-id', requestId);
  response.headers.set('openai-processing-ms', String(Date.now() - startedMs));
  if (rateLimit) {
    response.headers.set('x-ratelimit-limit-requests', String(rateLimit.requestsLimit));
    response.headers.set('x-ratelimit-remaining-requests', String(rateLimit.requestsRemaining));
    response.headers.set('x-ratelimit-reset-requests', `${Math.ceil(rateLimit.resetMs / 1000)}s`);
  }
  return response;
}
