/** The catalogue in Anthropic's form: GET /anthropic/v1/models, and /v1/models for its clients. */
import * as z from 'zod';
import { findModel, type Model } from '../db/catalogue.ts';
import { findAlias } from '../domain/model-alias.ts';
import { hasBegun, hasEnded, modelEnded, onSale } from '../domain/model-end.ts';
import { config } from '../env.ts';
import { envelopeIn } from '../gateway/dialects/dialect.ts';
import { dialects } from '../gateway/dialects/index.ts';
import { catalogue } from '../gateway/model-cache.ts';
import { type ApiError, errorResponseWith } from '../http/api-error.ts';
import { readFields } from '../http/fields.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { aliasesOfCaller, offeredTo } from './offered-models.ts';

/** Anthropic's bounds and default. */
export const AnthropicModelsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(20),
  after_id: z.string().max(256).optional(),
  before_id: z.string().max(256).optional(),
});

export async function listAnthropicModels(c: ApiContext): Promise<Response> {
  const query = readFields(AnthropicModelsQuery, c.req.query(), new Headers());
  if (!query.ok) return refuse(c, query.error);
  const { limit, after_id: after, before_id: before } = query.fields;
  const nowMs = Date.now();
  const offered = await offeredTo(c, await catalogue(c.env, nowMs), nowMs);
  const all = offered.map(({ model, alias }) => describe(model, alias?.name));
  const at = (id: string | undefined) => all.findIndex((model) => model.id === id);
  const from = after === undefined ? 0 : at(after) + 1;
  const to = before === undefined ? all.length : at(before);
  if ((after !== undefined && from === 0) || to < 0) {
    const param = to < 0 ? 'before_id' : 'after_id';
    const message = `\`${param}\` must be the id of a model of this list.`;
    return refuse(c, { reason: 'invalid_field', param, message });
  }
  const rest = all.slice(from, to);
  // Backwards, the page is the one next to `before_id`.
  const data = before === undefined ? rest.slice(0, limit) : rest.slice(-limit);
  const ends = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
  return c.json({ data, has_more: rest.length > data.length, ...ends });
}

export async function getAnthropicModel(c: ApiContext): Promise<Response> {
  const nowMs = Date.now();
  const models = await catalogue(c.env, nowMs);
  const requested = c.req.param('id') ?? '';
  const alias = findAlias(await aliasesOfCaller(c, nowMs), requested);
  const model = findModel(models, alias?.modelId ?? requested);
  if (model && hasEnded(model, nowMs)) return refuse(c, modelEnded(model));
  if (model && hasBegun(model, nowMs)) return c.json(describe(model, alias?.name));
  const available = onSale(models, nowMs).map(({ id }) => id);
  return refuse(c, { reason: 'model_not_found', requested, available });
}

/** All fields of Anthropic's `ModelInfo`; what it says of its own models alone is null. */
function describe(model: Model, alias?: string) {
  const { name, prices, contextTokens, outputTokensMax, endsAtMs, endAnnouncedAtMs } = model;
  const iso = (atMs: number | null) => (atMs === null ? null : new Date(atMs).toISOString());
  return {
    type: 'model' as const,
    id: alias ?? model.id,
    display_name: name,
    created_at: iso(Math.min(...prices.map(({ fromMs }) => fromMs))),
    capabilities: null,
    line: null,
    max_input_tokens: contextTokens,
    max_tokens: outputTokensMax,
    lifecycle: endsAtMs === null ? ('active' as const) : ('deprecated' as const),
    deprecated_at: endsAtMs === null ? null : iso(endAnnouncedAtMs ?? endsAtMs),
    retires_at: iso(endsAtMs),
  };
}

async function refuse(c: ApiContext, error: ApiError): Promise<Response> {
  const dialect = await dialects.anthropicMessages();
  const { publicOrigin } = config(c.env);
  return errorResponseWith(
    error,
    dialect.errorBody(envelopeIn(dialect, error, publicOrigin), c.get('requestId')),
  );
}
