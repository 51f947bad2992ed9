/** Other providers' list prices, read from D1. */
import { asc } from 'drizzle-orm';
import type { Database } from './client.ts';
import { referencePrice } from './schema.ts';

export type ReferencePrice = typeof referencePrice.$inferSelect;

/** Loads them, oldest first. */
export function loadReferencePrices(db: Database): Promise<ReferencePrice[]> {
  return db.select().from(referencePrice).orderBy(asc(referencePrice.fromMs), asc(referencePrice.id));
}
