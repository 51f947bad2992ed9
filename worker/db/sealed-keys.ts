/** Keys that outlive the secret from which they come, sealed, by name. */
import { eq } from 'drizzle-orm';
import type { Database } from './client.ts';
import { sealedKey } from './schema.ts';

export async function findSealedKey(db: Database, name: string): Promise<string | null> {
  const row = await db.select().from(sealedKey).where(eq(sealedKey.name, name)).get();
  return row?.sealed ?? null;
}

export async function keepSealedKey(
  db: Database,
  { name, sealed, nowMs }: { name: string; sealed: string; nowMs: number },
): Promise<void> {
  await db
    .insert(sealedKey)
    .values({ name, sealed, createdAtMs: nowMs })
    .onConflictDoUpdate({ target: sealedKey.name, set: { sealed } });
}
