/** A person's second factor beside what better-auth does with it. */
import { and, eq, isNull, lt, or } from 'drizzle-orm';
import type { Database } from './client.ts';
import { personTwoFactor } from './schema.ts';

/** The encrypted TOTP secret; null: the person has none, not even one that waits for its first code. */
export async function findTotpSecret(db: Database, personId: string): Promise<string | null> {
  const row = await db
    .select({ secret: personTwoFactor.secret })
    .from(personTwoFactor)
    .where(eq(personTwoFactor.userId, personId))
    .get();
  return row?.secret ?? null;
}

/** Takes a time step. @returns false: it, or a later one, was taken before */
export async function takeTotpStep(
  db: Database,
  { personId, step }: { personId: string; step: number },
): Promise<boolean> {
  const { lastUsedStep } = personTwoFactor;
  const taken = await db
    .update(personTwoFactor)
    .set({ lastUsedStep: step })
    .where(and(eq(personTwoFactor.userId, personId), or(isNull(lastUsedStep), lt(lastUsedStep, step))))
    .returning({ id: personTwoFactor.id });
  return taken.length > 0;
}
