/** Step 3: limits and money, by a lease or in one Wallet call. What comes back is a hold, or why there is none. */
import type { Model } from '../db/catalogue.ts';
import type { ConversationHome } from '../domain/conversation.ts';
import { firstHold, promptTokenBounds, tokenEstimate } from '../domain/hold.ts';
import type { RateLimitState } from '../domain/limits.ts';
import { capsOnly } from '../domain/limits.ts';
import type { NanoUsd } from '../domain/money.ts';
import { type Price, priceAt, type Tariff } from '../domain/pricing.ts';
import type { AdmitRequest, AdmitResult, WalletApi } from '../domain/wallet.ts';
import type { Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import type { Principal } from '../http/authenticate.ts';
import type { ChatRequest } from './dialects/chat-request.ts';
import { admitByLease } from './lease/registry.ts';

export interface Admission {
  readonly requestId: string;
  readonly accountId: string;
  readonly model: Model;
  readonly price: Price;
  /** per choice */
  readonly maxTokens: number;
  readonly choices: number;
  /** what the prompt can have at most: a node that says more is not believed */
  readonly promptTokensMax: number;
  readonly heldNanoUsd: NanoUsd;
  /** what the account has beside the hold */
  readonly availableNanoUsd: NanoUsd;
  readonly rateLimit: RateLimitState;
  readonly conversation: number;
  /** where the conversation's last answer was made; null: nobody knows */
  readonly home: ConversationHome | null;
}

type Admit =
  | { ok: true; admission: Admission }
  | { ok: false; refusal: ApiError; rateLimit?: RateLimitState };

/** @param nowMs the server's clock at admission: it decides the price for the whole request */
export async function admit(
  env: Env,
  {
    requestId,
    principal,
    request,
    model,
    conversation,
    tariff,
    nowMs,
    isKeyed,
    waitUntil,
  }: {
    requestId: string;
    principal: Principal;
    request: ChatRequest;
    model: Model;
    conversation: number;
    tariff: Tariff;
    nowMs: number;
    /** an Idempotency-Key names it: the Wallet has to know how it is at any time */
    isKeyed: boolean;
    waitUntil: (promise: Promise<unknown>) => void;
  },
): Promise<Admit> {
  if (principal.models !== null && !principal.models.includes(model.id)) {
    return { ok: false, refusal: { reason: 'model_forbidden', model: model.id } };
  }
  const dated = priceAt(model.prices, tariff, nowMs);
  // a model without a price is not given away
  if (dated === null) return { ok: false, refusal: { reason: 'model_not_available', model: model.id } };
  const { id, cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd } = dated;
  const price: Price = { id, cacheHitNanoUsd, cacheMissNanoUsd, outputNanoUsd };

  const prompt = promptTokenBounds(request.contentBytes, request.generate.messages?.length ?? 0);
  if (prompt.min >= model.contextTokens)
    return { ok: false, refusal: promptTooLong(model, request.promptField) };
  const promptTokensMax = Math.min(prompt.max, model.contextTokens);
  const maxTokens = Math.min(request.maxTokens ?? model.outputTokensDefault, model.outputTokensMax);

  const background = tariff === 'batch';
  const wallet = env.WALLET.getByName(principal.accountId);
  const asked: AdmitRequest = {
    requestId,
    keyId: principal.keyId,
    modelId: model.id,
    stream: request.stream,
    limits: background ? capsOnly(principal.limits) : principal.limits,
    tokens: tokenEstimate({ contentBytes: request.contentBytes, maxTokens, choices: request.choices }),
    price,
    hold: firstHold({
      promptTokensMin: prompt.min,
      promptTokensMax,
      maxTokens,
      choices: request.choices,
      price,
    }),
    background,
    token: principal.token,
    conversation,
  };
  const isAlone = background || isKeyed || asked.token !== null;
  const leased = isAlone ? null : admitByLease(env, principal.accountId, asked, { nowMs, waitUntil });
  const result = leased ?? (await admitAlone(wallet, asked));
  if (!result.ok) return result;
  const { heldNanoUsd, availableNanoUsd, rateLimit, home } = result;
  return {
    ok: true,
    admission: {
      requestId,
      accountId: principal.accountId,
      model,
      price,
      maxTokens,
      choices: request.choices,
      promptTokensMax,
      heldNanoUsd,
      availableNanoUsd,
      rateLimit,
      conversation,
      home,
    },
  };
}

/** Slack that other isolates give back is waited for this often: each does within a moment. */
const WAITS_FOR_SLACK = 5;

/** A hold of its own. */
async function admitAlone(wallet: Pick<WalletApi, 'admit'>, asked: AdmitRequest): Promise<AdmitResult> {
  for (let waits = 0; ; waits++) {
    // the Wallet may have made the hold and lost its reply: told again, the same request is the same hold
    const result: AdmitResult = await wallet
      .admit(asked)
      .catch((): Promise<AdmitResult> => wallet.admit(asked));
    if (result.ok || result.againInMs === null || waits === WAITS_FOR_SLACK) return result;
    await scheduler.wait(result.againInMs);
  }
}

function promptTooLong(model: Model, param: string): ApiError {
  return {
    reason: 'invalid_field',
    param,
    message: `\`${param}\`: longer than the context of ${model.id}, ${model.contextTokens} tokens. Send less.`,
  };
}
