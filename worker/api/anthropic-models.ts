/** The catalogue in Anthropic's form: GET /anthropic/v1/models, and /v1/models for its clients. */
import * as z from 'zod';
import type { Model } from '../db/catalogue.ts';
import { errorResponseIn } from '../gateway/dialects/error-response.ts';
import { dialects } from '../gateway/dialects/index.ts';
import type { ApiError } from '../http/api-error.ts';
import { readFields } from '../http/fields.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { findOffer, firstSoldMs, offeredTo } from './offered-models.ts';

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
  const offered = await offeredTo(c, nowMs);
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
  const found = await findOffer(c, Date.now());
  return found.ok ? c.json(describe(found.offer.model, found.offer.alias?.name)) : refuse(c, found.error);
}

/** All fields of Anthropic's `ModelInfo`; what it says of its own models alone is null. */
function describe(model: Model, alias?: string) {
  const { name, contextTokens, outputTokensMax, endsAtMs, endAnnouncedAtMs } = model;
  const iso = (atMs: number | null) => (atMs === null ? null : new Date(atMs).toISOString());
  return {
    type: 'model' as const,
    id: alias ?? model.id,
    display_name: name,
    created_at: iso(firstSoldMs(model)),
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
  return errorResponseIn(c, await dialects.anthropicMessages(), error);
}
