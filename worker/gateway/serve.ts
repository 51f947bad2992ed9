/**
 * Steps 3 and 4 of a request that has been read, from a client or from a batch: admit and route. The result is what its
 * answer needs (streamed-answer.ts, whole-answer.ts), or the error that refuses the request.
 */
import type { Model } from '../db/catalogue.ts';
import { tokenEstimate } from '../domain/hold.ts';
import type { RateLimitState } from '../domain/limits.ts';
import type { Tariff } from '../domain/pricing.ts';
import type { RouteRequest } from '../domain/routing/policy.ts';
import type { Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import type { Principal } from '../http/authenticate.ts';
import type { Admission } from './admission.ts';
import { admit } from './admit.ts';
import type { AnswerContext } from './answer.ts';
import { cacheSalt } from './cache-salt.ts';
import { type AnswerHead, answerFormat, type DialectModelRequest } from './dialects/dialect.ts';
import { HoldWindow } from './hold/hold-window.ts';
import type { RequestHold } from './hold/request-hold.ts';
import { poolSnapshot } from './model-cache.ts';
import type { Deadlines } from './node/deadlines.ts';
import { generateBody, nodeBody } from './node/request-body.ts';
import { affinityKey, overloadWaitMs } from './route.ts';
import type { ClientDisconnect } from './stream/disconnect.ts';

export interface ServeRequest {
  readonly principal: Principal;
  readonly dialectRequest: DialectModelRequest;
  readonly head: AnswerHead;
  readonly model: Model;
  /** A batch has its own price, runs only on idle capacity, and counts against spending caps alone. */
  readonly tariff: Tariff;
  /** an Idempotency-Key names the request */
  readonly isKeyed: boolean;
  /** the time of admission, which decides the price of the whole request */
  readonly nowMs: number;
  readonly disconnect: ClientDisconnect;
  readonly deadlines: Deadlines;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

export type Served =
  | { ok: true; hold: RequestHold; rateLimit: RateLimitState; context: AnswerContext }
  | { ok: false; error: ApiError; rateLimit?: RateLimitState };

export async function serve(env: Env, serveRequest: ServeRequest): Promise<Served> {
  const { principal, dialectRequest, head, model, tariff, isKeyed } = serveRequest;
  const { nowMs, disconnect, deadlines, waitUntil } = serveRequest;
  const { request } = dialectRequest;

  const party = { accountId: principal.accountId, background: tariff === 'batch' };
  // An overloaded pool refuses before anything is held: requests that wait already keep their places.
  const pool = () => poolSnapshot(env, model.id, Date.now(), waitUntil);
  const retryAfterMs = await pool().then(
    (snapshot) => overloadWaitMs(snapshot, party, Date.now()),
    () => null,
  );
  if (retryAfterMs !== null) return { ok: false, error: { reason: 'overloaded', retryAfterMs } };

  const salt = await cacheSalt(env, principal.accountId);
  const conversation = affinityKey(request, model.id, salt);
  const { requestId } = head;
  const admitted = await admit(env, {
    ...{ requestId, principal, request, model, conversation, tariff, isKeyed, nowMs, waitUntil },
  });
  if (!admitted.ok) return admitted;
  const { admission } = admitted;

  const format = answerFormat(dialectRequest, head);
  const body = nodeBody(request, {
    // An engine takes 0 for no limit.
    max_tokens: Math.max(1, admission.maxTokens),
    prompt_only: admission.maxTokens === 0 || undefined,
    cache_salt: salt,
    background: party.background || undefined,
  });
  const context: AnswerContext = {
    env,
    admission,
    format,
    body: generateBody(body, { admission, format }),
    holdWindow: new HoldWindow(env, admission),
    pool,
    party,
    route: routeOf(admission, request.contentBytes),
    disconnect,
    deadlines,
    waitUntil,
  };
  return { ok: true, hold: admission.hold, rateLimit: admission.rateLimit, context };
}

function routeOf({ conversation, home }: Admission, contentBytes: number): RouteRequest {
  const promptTokens = tokenEstimate({ contentBytes, maxTokens: 0, choices: 1 });
  const known = home && { nodeId: home.nodeId, cachedTokens: Math.min(home.promptTokens, promptTokens) };
  return { affinity: conversation, promptTokens, home: known };
}
