/** The models that a caller is offered: those for sale, and its account's own names for them. */
import { findModel, type Model } from '../db/catalogue.ts';
import { findAlias, type ModelAlias } from '../domain/model-alias.ts';
import { hasBegun, hasEnded, modelEnded, onSale, withStandingSuccessor } from '../domain/model-end.ts';
import { isVisible } from '../domain/name.ts';
import { catalogue } from '../gateway/model-cache.ts';
import type { ApiError } from '../http/api-error.ts';
import { authenticate, secretOf } from '../http/authenticate.ts';
import { HIDDEN_CHARACTERS } from '../http/fields.ts';
import type { ApiContext } from '../http/response-headers.ts';

export interface Offer {
  /** As customers are told of it: no successor of it is gone. */
  readonly model: Model;
  /** The account's own name for it, under which it is listed once more; null: it is listed under its id. */
  readonly alias: ModelAlias | null;
}

/** The models for sale, then the caller's aliases of them. */
export async function offeredTo(c: ApiContext, nowMs: number): Promise<Offer[]> {
  const models = await catalogue(c.env, nowMs);
  const sold = onSale(models, nowMs).map((model) => withStandingSuccessor(model, models, nowMs));
  const aliased = (await aliasesOfCaller(c, nowMs)).flatMap((alias) => {
    const model = sold.find(({ id }) => id === alias.modelId);
    return model ? [{ model, alias }] : [];
  });
  return [...sold.map((model) => ({ model, alias: null })), ...aliased];
}

/** The model that the path names by its id or an alias, or the error of a name that is none. */
export async function findOffer(
  c: ApiContext,
  nowMs: number,
): Promise<{ ok: true; offer: Offer } | { ok: false; error: ApiError }> {
  const models = await catalogue(c.env, nowMs);
  const requested = c.req.param('id') ?? '';
  if (!isVisible(requested)) {
    const message = `\`id\`: ${HIDDEN_CHARACTERS}.`;
    return { ok: false, error: { reason: 'invalid_field', param: 'id', message } };
  }
  const alias = findAlias(await aliasesOfCaller(c, nowMs), requested);
  const found = findModel(models, alias?.modelId ?? requested);
  const model = found && withStandingSuccessor(found, models, nowMs);
  if (model && hasEnded(model, nowMs)) return { ok: false, error: modelEnded(model) };
  if (model && hasBegun(model, nowMs)) return { ok: true, offer: { model, alias } };
  const available = onSale(models, nowMs).map(({ id }) => id);
  return { ok: false, error: { reason: 'model_not_found', requested, available } };
}

/** When the model was first sold. */
export function firstSoldMs({ prices }: Model): number {
  return Math.min(...prices.map(({ fromMs }) => fromMs));
}

/** The catalogue needs no key: whoever sends none, or one that is not valid, has no aliases. */
async function aliasesOfCaller(c: ApiContext, nowMs: number): Promise<readonly ModelAlias[]> {
  if (secretOf(c.req.raw.headers) === null) return [];
  const caller = await authenticate(c.req.raw, c.env, nowMs);
  return caller.ok ? caller.principal.aliases : [];
}
