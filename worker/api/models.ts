/**
 * GET /v1/models and /v1/models/{id}: the catalogue in OpenAI's form, with Tollgate's details in an own object. A caller
 * with a key also gets the aliases of its account, so that clients that offer only what is listed offer them.
 * Clients of Anthropic get both in Anthropic's form (anthropic-models.ts).
 */
import type * as z from 'zod';
import type { Model } from '../db/catalogue.ts';
import type { ModelAlias } from '../domain/model-alias.ts';
import { formatUsd, nanoUsd } from '../domain/money.ts';
import { isServing, type NodeView } from '../domain/node.ts';
import { type DatedPrice, priceAt } from '../domain/pricing.ts';
import { supportedParameters } from '../domain/supported-parameters.ts';
import { poolSnapshot } from '../gateway/model-cache.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { speaksAnthropic } from '../http/speaks-anthropic.ts';
import { findOffer, firstSoldMs, offeredTo } from './offered-models.ts';
import type { Model as ModelSchema } from './openapi/responses.ts';
import { respondWithError } from './respond-with-error.ts';

export async function listModels(c: ApiContext): Promise<Response> {
  if (speaksAnthropic(c.req.raw)) return (await import('./anthropic-models.ts')).listAnthropicModels(c);
  const nowMs = Date.now();
  const offered = await offeredTo(c, nowMs);
  return c.json({
    object: 'list',
    data: await Promise.all(offered.map(({ model, alias }) => describe(c, model, nowMs, alias))),
  });
}

export async function getModel(c: ApiContext): Promise<Response> {
  if (speaksAnthropic(c.req.raw)) return (await import('./anthropic-models.ts')).getAnthropicModel(c);
  const nowMs = Date.now();
  const found = await findOffer(c, nowMs);
  if (!found.ok) return respondWithError(c, found.error);
  return c.json(await describe(c, found.offer.model, nowMs, found.offer.alias));
}

/** The type is the OpenAPI description's, so that no field can be missing from either. */
type ModelObject = z.input<typeof ModelSchema>;

async function describe(
  c: ApiContext,
  model: Model,
  nowMs: number,
  alias: ModelAlias | null,
): Promise<ModelObject> {
  const price = priceAt(model.prices, 'standard', nowMs);
  const batch = priceAt(model.prices, 'batch', nowMs);
  const serving = await servingNodes(c, model.id, nowMs);
  return {
    id: alias?.name ?? model.id,
    object: 'model',
    created: Math.floor(firstSoldMs(model) / 1_000),
    owned_by: model.profile.owner,
    supported_parameters: supportedParameters({ profile: model.profile, nodes: serving }),
    tollgate: {
      name: model.name,
      aliases: model.aliases,
      alias_of: alias === null ? null : model.id,
      effort: alias === null ? null : alias.effort,
      revision: model.revision,
      license: model.license,
      context_length: model.contextTokens,
      max_output: model.outputTokensMax,
      pricing: price && pricing(price),
      batch_pricing: batch && pricing(batch),
      available: serving.length > 0,
      ends_at: model.endsAtMs === null ? null : new Date(model.endsAtMs).toISOString(),
      successor: model.successorId,
    },
  };
}

function pricing(price: DatedPrice): ModelObject['tollgate']['pricing'] {
  return {
    price_version: price.id,
    unit: 'USD per token',
    cache_hit: formatUsd(nanoUsd(price.cacheHitNanoUsd)),
    cache_miss: formatUsd(nanoUsd(price.cacheMissNanoUsd)),
    output: formatUsd(nanoUsd(price.outputNanoUsd)),
  };
}

/** The nodes that serve the model now. An unreachable Pool counts as none: the catalogue is answered all the same. */
async function servingNodes(c: ApiContext, modelId: string, nowMs: number): Promise<readonly NodeView[]> {
  const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
  const pool = await poolSnapshot(c.env, modelId, nowMs, waitUntil).catch(() => null);
  return pool?.nodes.filter(isServing) ?? [];
}
