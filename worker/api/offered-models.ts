/** The models that a caller is offered: what is for sale, and its account's own names for it. */
import type { Model } from '../db/catalogue.ts';
import type { ModelAlias } from '../domain/model-alias.ts';
import { onSale } from '../domain/model-end.ts';
import { authenticate, secretOf } from '../http/authenticate.ts';
import type { ApiContext } from '../http/response-headers.ts';

export interface Offer {
  readonly model: Model;
  /** The account's own name for it, under which it is listed once more; null: it is listed under its id. */
  readonly alias: ModelAlias | null;
}

/** What is for sale, then the caller's aliases of it. */
export async function offeredTo(c: ApiContext, models: readonly Model[], nowMs: number): Promise<Offer[]> {
  const sold = onSale(models, nowMs);
  const aliased = (await aliasesOfCaller(c, nowMs)).flatMap((alias) => {
    const model = sold.find(({ id }) => id === alias.modelId);
    return model ? [{ model, alias }] : [];
  });
  return [...sold.map((model) => ({ model, alias: null })), ...aliased];
}

/** The catalogue needs no key: whoever sends none, or one that is not valid, has no aliases. */
export async function aliasesOfCaller(c: ApiContext, nowMs: number): Promise<readonly ModelAlias[]> {
  if (secretOf(c.req.raw.headers) === null) return [];
  const caller = await authenticate(c.req.raw, c.env, nowMs);
  return caller.ok ? caller.principal.aliases : [];
}
