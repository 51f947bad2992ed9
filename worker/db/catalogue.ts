/** Models and their dated prices, read from D1. */
import type { DatedPrice } from '../domain/pricing.ts';
import type { Database } from './client.ts';
import { model, price } from './schema.ts';

export type Model = typeof model.$inferSelect & { readonly prices: readonly DatedPrice[] };

export async function loadCatalogue(db: Database): Promise<Model[]> {
  const [models, prices] = await db.batch([
    db.select().from(model).orderBy(model.id),
    db.select().from(price),
  ]);
  return models.map((each) => ({ ...each, prices: prices.filter((row) => row.modelId === each.id) }));
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
