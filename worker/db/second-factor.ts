/** A person's second factor beside what better-auth does with it. */
import { and, eq, isNull, lt, or } from 'drizzle-orm';
import { type AuditEntry, addAudit } from './audit.ts';
import type { Database } from './client.ts';
import { person, personSession, personTwoFactor } from './schema.ts';

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

/** The person as a reset of their second factor needs them; null: there is no such person. */
export async function findSecondFactorHolder(db: Database, personId: string) {
  const { email, role, twoFactorEnabled: twoFactor } = person;
  const row = await db.select({ email, role, twoFactor }).from(person).where(eq(person.id, personId)).get();
  return row ?? null;
}

/** Removes the second factor and all sessions of the person. @returns how many sessions there were */
export async function removeSecondFactor(
  db: Database,
  { personId, entry }: { personId: string; entry: AuditEntry },
): Promise<number> {
  const [, , ended] = await db.batch([
    db
      .update(person)
      .set({ twoFactorEnabled: false, updatedAt: new Date(entry.atMs) })
      .where(eq(person.id, personId)),
    db.delete(personTwoFactor).where(eq(personTwoFactor.userId, personId)),
    db.delete(personSession).where(eq(personSession.userId, personId)).returning({ id: personSession.id }),
    addAudit(db, entry),
  ]);
  return ended.length;
}
