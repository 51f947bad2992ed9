/**
 * Steps 3 to 7 for a request that has been read, whoever sent it: admit, route, then forward, meter and settle. What
 * comes out is the answer in pieces, or why there is none.
 */
import type { Model } from '../db/catalogue.ts';
import { tokenEstimate } from '../domain/hold.ts';
import type { RateLimitState } from '../domain/limits.ts';
import type { Tariff } from '../domain/pricing.ts';
import type { RouteRequest } from '../domain/routing/policy.ts';
import type { Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import type { Principal } from '../http/authenticate.ts';
import { type Admission, admit } from './admit.ts';
import { type AnswerContext, type KeptAnswer, streamedAnswer, wholeAnswer } from './answer.ts';
import { cacheSalt } from './cache-salt.ts';
import type { AnswerEvents, AnswerHead, DialectRequest } from './dialects/dialect.ts';
import { poolSnapshot } from './model-cache.ts';
import type { Deadlines } from './node/deadlines.ts';
import { nodeBody } from './node/request-body.ts';
import { affinityKey, overloadMs } from './route.ts';
import type { ClientChunk } from './stream/client-chunk.ts';
import type { ClientDisconnect } from './stream/disconnect.ts';

export interface ServeRequest {
  readonly principal: Principal;
  readonly asked: DialectRequest;
  readonly head: AnswerHead;
  /** null: the answer is one object */
  readonly events: AnswerEvents | null;
  readonly model: Model;
  /** batch: at its own price, where nobody else wants to run, and counted against caps alone */
  readonly tariff: Tariff;
  /** an Idempotency-Key names the request */
  readonly isKeyed: boolean;
  /** decides the price for the whole request */
  readonly nowMs: number;
  /** aborted when nobody waits for the answer any more */
  readonly gone: ClientDisconnect;
  /** one for all deadlines of the request */
  readonly alarms: Deadlines;
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** told of a whole answer before it is paid for: what must not be paid for and lost is kept by then */
  readonly keep?: (kept: KeptAnswer) => void;
}

export type Served =
  | { ok: true; rateLimit: RateLimitState; pieces: AsyncGenerator<ClientChunk, void> }
  | { ok: false; refusal: ApiError; rateLimit?: RateLimitState };

export async function serve(env: Env, job: ServeRequest): Promise<Served> {
  const { principal, asked, head, events, model, tariff, isKeyed, nowMs, gone, alarms, waitUntil, keep } =
    job;
  const { request } = asked;

  // refused before it costs anybody anything: what waits already keeps its place
  const pool = () => poolSnapshot(env, model.id, Date.now(), waitUntil);
  const busyMs = await pool().then(
    (snapshot) => overloadMs(snapshot, Date.now()),
    () => null,
  );
  if (busyMs !== null) return { ok: false, refusal: { reason: 'overloaded', retryAfterMs: busyMs } };

  const salt = await cacheSalt(env, principal.accountId);
  const conversation = affinityKey(request, model.id, salt);
  const { requestId } = head;
  const admitted = await admit(env, {
    ...{ requestId, principal, request, model, conversation, tariff, isKeyed, nowMs, waitUntil },
  });
  if (!admitted.ok) return admitted;
  const { admission } = admitted;

  const work: AnswerContext = {
    env,
    admission,
    asked,
    head,
    body: nodeBody(request, {
      max_tokens: admission.maxTokens,
      cache_salt: salt,
      background: tariff === 'batch' || undefined,
    }),
    pool,
    route: routeOf(admission, request.contentBytes),
    gone,
    alarms,
    waitUntil,
    keep,
  };
  const pieces = events ? streamedAnswer(work, events) : wholeAnswer(work);
  return { ok: true, rateLimit: admission.rateLimit, pieces };
}

function routeOf({ conversation, home }: Admission, contentBytes: number): RouteRequest {
  const promptTokens = tokenEstimate({ contentBytes, maxTokens: 0, choices: 1 });
  const known = home && { nodeId: home.nodeId, cachedTokens: Math.min(home.promptTokens, promptTokens) };
  return { affinity: conversation, promptTokens, home: known };
}
