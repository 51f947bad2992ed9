/**
 * Step 3: limits and money in one decision, from a lease of this isolate or in one Wallet call. Admission returns the
 * request's hold and price, or the error that refuses it.
 */
import type { Model } from '../db/catalogue.ts';
import { firstHold, promptTokenBounds, tokenEstimate } from '../domain/hold.ts';
import type { RateLimitState } from '../domain/limits.ts';
import { capsOnly } from '../domain/limits.ts';
import { type Price, priceAt, type Tariff } from '../domain/pricing.ts';
import type { AdmitRequest, AdmitResult, Admitted, WalletApi } from '../domain/wallet.ts';
import type { Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import type { Principal } from '../http/authenticate.ts';
import type { Admission } from './admission.ts';
import type { ModelRequest } from './dialects/chat-request.ts';
import { LeasedHold } from './hold/leased-hold.ts';
import type { RequestHold } from './hold/request-hold.ts';
import { WalletHold } from './hold/wallet-hold.ts';
import { admitByLease } from './lease/registry.ts';

export interface AdmissionRequest {
  readonly requestId: string;
  readonly principal: Principal;
  readonly request: ModelRequest;
  readonly model: Model;
  readonly conversation: number;
  readonly tariff: Tariff;
  /** the server's clock at admission */
  readonly nowMs: number;
  /** An Idempotency-Key names the request, so the Wallet has to know its state at any time: it is never leased. */
  readonly isKeyed: boolean;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

type AdmissionResult =
  | { ok: true; admission: Admission }
  | { ok: false; error: ApiError; rateLimit?: RateLimitState };

export async function admit(env: Env, admissionRequest: AdmissionRequest): Promise<AdmissionResult> {
  const { requestId, principal, request, model, conversation, tariff, nowMs } = admissionRequest;
  if (principal.models !== null && !principal.models.includes(model.id)) {
    return { ok: false, error: { reason: 'model_forbidden', model: model.id } };
  }
  const price = priceNow(model, tariff, nowMs);
  // Without a price in force there is nothing to charge by, so the model is not served.
  if (price === null) return { ok: false, error: { reason: 'model_not_available', model: model.id } };

  const { contentBytes, templateBytes, promptField } = request;
  const prompt = promptTokenBounds(contentBytes, request.generate.messages?.length ?? 0, templateBytes);
  const { id, contextTokens } = model;
  if (prompt.min > contextTokens) {
    const error = {
      reason: 'context_length_exceeded',
      model: id,
      contextTokens,
      param: promptField,
    } as const;
    return { ok: false, error: { ...error, promptTokens: { atLeast: prompt.min } } };
  }
  const maxTokens = Math.min(request.maxTokens ?? model.outputTokensDefault, model.outputTokensMax);
  const { choices, stream } = request;

  const background = tariff === 'batch';
  const result = await hold(env, admissionRequest, {
    requestId,
    keyId: principal.keyId,
    modelId: model.id,
    stream,
    limits: background ? capsOnly(principal.limits) : principal.limits,
    tokens: tokenEstimate({ contentBytes, maxTokens, choices }),
    price,
    hold: firstHold({
      promptTokensMin: prompt.min,
      promptTokensMax: Math.min(prompt.max, contextTokens),
      ...{ maxTokens, choices, price },
    }),
    background,
    token: principal.token,
    conversation,
  });
  if (!result.ok) return { ok: false, error: result.refusal, rateLimit: result.rateLimit };
  const { heldNanoUsd, availableNanoUsd, rateLimit, home } = result.admitted;
  const terms = { model, price, maxTokens, choices, promptTokensMax: prompt.max, promptField, conversation };
  const held = { hold: result.hold, heldNanoUsd, availableNanoUsd, rateLimit, home };
  const { accountId, limits, token } = principal;
  return { ok: true, admission: { requestId, accountId, limits, token, ...terms, ...held } };
}

function priceNow(model: Model, tariff: Tariff, nowMs: number): Price | null {
  const dated = priceAt(model.prices, tariff, nowMs);
  if (dated === null) return null;
  const { id, cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd } = dated;
  return { id, cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd };
}

type HoldResult = { ok: true; hold: RequestHold; admitted: Admitted } | Extract<AdmitResult, { ok: false }>;

/** A part of a lease where the key is busy enough to have one, else a hold of the request's own. */
async function hold(
  env: Env,
  { principal, isKeyed, nowMs, waitUntil }: AdmissionRequest,
  request: AdmitRequest,
): Promise<HoldResult> {
  const { accountId } = principal;
  const { requestId } = request;
  const ownHold = new WalletHold(env, { accountId, requestId });
  const needsOwnHold = request.background || isKeyed || request.token !== null;
  const leased = needsOwnHold ? null : admitByLease(env, accountId, request, { nowMs, waitUntil });
  if (leased) {
    const { lease, admitted } = leased;
    return { ok: true, hold: new LeasedHold(lease, requestId, ownHold), admitted };
  }
  const admitted = await admitAtWallet(env.WALLET.getByName(accountId), request);
  return admitted.ok ? { ok: true, hold: ownHold, admitted } : admitted;
}

/**
 * How long a request waits for room that will come back, in multiples of the time that the Wallet names (300 ms): unused
 * slack of other isolates within a moment, other requests' holds as they shrink or end. Three seconds in all, by when a
 * short answer has ended; a client waits as long for a first token.
 */
const WAITS = [1, 1, 2, 2, 4];

async function admitAtWallet(wallet: Pick<WalletApi, 'admit'>, request: AdmitRequest): Promise<AdmitResult> {
  for (let waits = 0; ; waits++) {
    // The first call may have made the hold and lost its reply. A second one is safe: the same request id is the same hold.
    const result: AdmitResult = await wallet
      .admit(request)
      .catch((): Promise<AdmitResult> => wallet.admit(request));
    if (result.ok || result.retryInMs === null || waits === WAITS.length) return result;
    await scheduler.wait(result.retryInMs * WAITS[waits]!);
  }
}
