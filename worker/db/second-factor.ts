/** A person's second factor beside what better-auth does with it. */
import { and, eq, isNull, lt, ne, or, sql } from 'drizzle-orm';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
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

/**
 * Removes the second factor and all sessions of the person. The first statement decides, so a person who becomes an
 * operator meanwhile keeps theirs.
 * @returns how many sessions there were; null: the factor is off already, or the person is an operator and must not be
 */
export async function removeSecondFactor(
  db: Database,
  { personId, mayBeOperator, entry }: { personId: string; mayBeOperator: boolean; entry: AuditEntry },
): Promise<number | null> {
  const isOff = sql`exists (select 1 from ${person} as p where p.id = ${personId} and p.two_factor_enabled = 0)`;
  const [removed, , , ended] = await db.batch([
    db
      .update(person)
      .set({ twoFactorEnabled: false, updatedAt: new Date(entry.atMs) })
      .where(
        and(
          eq(person.id, personId),
          eq(person.twoFactorEnabled, true),
          mayBeOperator ? undefined : ne(person.role, 'operator'),
        ),
      ),
    addAuditIfChanged(db, entry),
    db.delete(personTwoFactor).where(and(eq(personTwoFactor.userId, personId), isOff)),
    db
      .delete(personSession)
      .where(and(eq(personSession.userId, personId), isOff))
      .returning({ id: personSession.id }),
  ]);
  return removed.meta.changes === 1 ? ended.length : null;
}
