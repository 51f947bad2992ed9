/** Models and their dated prices, read from D1. */
import type { DatedPrice } from '../domain/pricing.ts';
import { type TemplateRules, templateRules } from '../domain/template-tokens.ts';
import type { Database } from './client.ts';
import { model, price } from './schema.ts';

export type Model = typeof model.$inferSelect & {
  readonly prices: readonly DatedPrice[];
  /** Compiled from the profile here, once for all requests that a loaded catalogue serves. */
  readonly template: TemplateRules;
};

/**
 * A model without a profile is left out: its control tokens are not known, so its clients could forge turns. Only a row that
 * a migration of the operator's own has added can have none; the console lists it.
 */
export async function loadCatalogue(db: Database): Promise<Model[]> {
  const [models, prices] = await db.batch([
    db.select().from(model).orderBy(model.id),
    db.select().from(price),
  ]);
  return models
    .filter(({ profile }) => 'controlTokens' in profile)
    .map((each) => ({
      ...each,
      prices: prices.filter((row) => row.modelId === each.id),
      template: templateRules(each.profile),
    }));
}

/** Finds a model by id or alias, ignoring case. */
export function findModel(catalogue: readonly Model[], name: string): Model | null {
  const lowerName = name.toLowerCase();
  return (
    catalogue.find(
      (each) => each.id === lowerName || each.aliases.some((alias) => alias.toLowerCase() === lowerName),
    ) ?? null
  );
}
