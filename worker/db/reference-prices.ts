/** List prices of others, as D1 has them. */
import { asc } from 'drizzle-orm';
import type { Database } from './client.ts';
import { referencePrice } from './schema.ts';

export type ReferencePrice = typeof referencePrice.$inferSelect;

/** The oldest first. */
export function loadReferencePrices(db: Database): Promise<ReferencePrice[]> {
  return db.select().from(referencePrice).orderBy(asc(referencePrice.fromMs), asc(referencePrice.id));
}
