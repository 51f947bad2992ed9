/**
 * Routes that count the tokens of a request before it is made: the body is read as that of the request itself, and a node
 * counts it as its engine would. What of it is expected from the prefix cache, and its price, is an estimate.
 */
import { promptTokenBounds, tokenEstimate } from '../../domain/hold.ts';
import { type NanoUsd, toUsdNumber } from '../../domain/money.ts';
import { chargeFor, priceAt } from '../../domain/pricing.ts';
import { CAN_INFER, COUNT_RULES, identify } from '../../http/access.ts';
import type { ApiError } from '../../http/api-error.ts';
import { countCall } from '../../http/count-call.ts';
import type { ApiContext } from '../../http/response-headers.ts';
import { cacheSalt } from '../cache-salt.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { errorResponseIn } from '../dialects/error-response.ts';
import { type AuthorizedRequest, type OpenTurn, readAuthorized } from '../generate.ts';
import { homeOf } from '../lease/affinity-cache.ts';
import { nodeBody } from '../node/request-body.ts';
import { affinityKey } from '../route.ts';
import { askNodes } from './ask-nodes.ts';

/** The parts of a count in which dialects differ. */
export interface CountForm {
  readonly loadDialect: () => Promise<Dialect>;
  readonly openTurn: OpenTurn | null;
  /** The body with what a request needs and a count may leave out. */
  readonly complete: (body: Record<string, unknown>) => Record<string, unknown>;
  /** The body with a turn of the user's behind an answer that no request could end with. */
  readonly ended: (body: Record<string, unknown>) => Record<string, unknown>;
  /** The answer's fields, without `tollgate`. */
  readonly answer: (promptTokens: number) => object;
}

export interface TokenCount {
  readonly promptTokens: number;
  /** Tokens that the home of the conversation may still have cached. */
  readonly cachedTokens: number;
  readonly cost: NanoUsd;
  readonly priceId: string;
}

export async function countTokens(c: ApiContext, form: CountForm): Promise<Response> {
  const dialect = await form.loadDialect();
  const refuse = (error: ApiError) => errorResponseIn(c, dialect, error);
  const caller = await identify(c, CAN_INFER, Date.now());
  if (!caller.ok) return refuse(caller.error);
  const tooMany = await countCall(c, COUNT_RULES, Date.now());
  if (tooMany !== null) return refuse(tooMany);
  const request = await readAuthorized(c, dialect, form);
  if (!request.ok) return refuse(request.error);
  const counted = await countOf(c, request);
  if (!counted.ok) return refuse(counted.error);
  const { promptTokens, cachedTokens, cost, priceId } = counted.count;
  const { ignored } = request.dialectRequest.request;
  const tollgate = {
    model: request.model.id,
    expected_cached_tokens: cachedTokens,
    expected_cost: toUsdNumber(cost),
    expected_cost_nano_usd: cost,
    price_version: priceId,
    ...(ignored.length > 0 && { ignored }),
  };
  const headers = ignored.length > 0 ? { 'x-tollgate-ignored': ignored.join(', ') } : undefined;
  return c.json({ ...form.answer(promptTokens), tollgate }, 200, headers);
}

async function countOf(
  c: ApiContext,
  { principal, dialectRequest: { request }, model, nowMs }: AuthorizedRequest,
): Promise<{ ok: true; count: TokenCount } | { ok: false; error: ApiError }> {
  const { accountId } = principal;
  if (principal.models !== null && !principal.models.includes(model.id))
    return { ok: false, error: { reason: 'model_forbidden', model: model.id } };
  const price = priceAt(model.prices, 'standard', nowMs);
  if (price === null) return { ok: false, error: { reason: 'model_not_available', model: model.id } };
  // Far too long whatever its tokens are: that spares the engine megabytes.
  const { min } = promptTokenBounds(request.contentBytes, 0);
  const { contextTokens } = model;
  if (min > contextTokens) {
    const facts = {
      model: model.id,
      contextTokens,
      param: request.promptField,
      promptTokens: { atLeast: min },
    };
    return { ok: false, error: { reason: 'context_length_exceeded', ...facts } };
  }
  const salt = await cacheSalt(c.env, accountId);
  const conversation = affinityKey(request, model.id, salt);
  // A Wallet that does not answer costs the estimate, not the count.
  const home =
    homeOf(conversation, nowMs) ??
    (await c.env.WALLET.getByName(accountId)
      .home(conversation)
      .catch(() => null));
  const counted = await askNodes(c.env, {
    ...{ requestId: c.get('requestId'), accountId, modelId: model.id, conversation },
    body: nodeBody(request, { max_tokens: 1, cache_salt: salt, background: undefined }),
    promptTokens: tokenEstimate({ contentBytes: request.contentBytes, maxTokens: 0, choices: 1 }),
    home: home && { nodeId: home.nodeId, cachedTokens: home.promptTokens },
    waitUntil: (promise) => c.executionCtx.waitUntil(promise),
  });
  if (!counted.ok) return counted;
  const { promptTokens } = counted;
  // The engine computes the last token of a prompt anew, whatever it has cached.
  const cachedTokens = Math.max(0, Math.min(home?.promptTokens ?? 0, promptTokens - 1));
  const usage = { promptTokens, cachedTokens, completionTokens: 0, reasoningTokens: 0 };
  const cost = chargeFor(usage, price);
  return { ok: true, count: { promptTokens, cachedTokens, cost, priceId: price.id } };
}
