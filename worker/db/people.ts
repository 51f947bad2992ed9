/** The parts of a person that e-mails and pages need. Sign-in itself is better-auth's (identity/auth.ts). */
import { and, eq, isNotNull } from 'drizzle-orm';
import type { Database } from './client.ts';
import { person, personCredential } from './schema.ts';

/** Finds the settings that an e-mail to this address depends on; null: nobody has the address. */
export async function findEmailRecipient(db: Database, email: string) {
  const { locale, emailVerified, twoFactorEnabled } = person;
  const row = await db
    .select({ locale, emailVerified, twoFactorEnabled })
    .from(person)
    .where(eq(person.email, email.toLowerCase()))
    .get();
  return row ?? null;
}

/** @returns the person's id; null: nobody has the address */
export async function findPersonByEmail(db: Database, email: string): Promise<string | null> {
  const row = await db
    .select({ id: person.id })
    .from(person)
    .where(eq(person.email, email.toLowerCase()))
    .get();
  return row?.id ?? null;
}

export async function setLocale(db: Database, personId: string, locale: string): Promise<void> {
  await db.update(person).set({ locale }).where(eq(person.id, personId));
}

export async function changeName(
  db: Database,
  change: { personId: string; name: string; nowMs: number },
): Promise<void> {
  const { personId, name, nowMs } = change;
  await db
    .update(person)
    .set({ name, updatedAt: new Date(nowMs) })
    .where(eq(person.id, personId));
}

/**
 * A person, by id or by e-mail address in any case, with the hash of their password; empty: they have none.
 * @returns null: there is no such person
 */
export async function findPasswordHash(
  db: Database,
  who: { email: string } | { personId: string },
): Promise<{ personId: string; passwordHash: string } | null> {
  const isWho = 'email' in who ? eq(person.email, who.email.toLowerCase()) : eq(person.id, who.personId);
  const row = await db
    .select({ personId: person.id, passwordHash: personCredential.password })
    .from(person)
    .leftJoin(
      personCredential,
      and(eq(personCredential.userId, person.id), isNotNull(personCredential.password)),
    )
    .where(isWho)
    .get();
  return row ? { personId: row.personId, passwordHash: row.passwordHash ?? '' } : null;
}

/** Whether the person has a password: someone who only ever signed in with a link has none. */
export async function hasPassword(db: Database, personId: string): Promise<boolean> {
  const row = await db
    .select({ id: personCredential.id })
    .from(personCredential)
    .where(and(eq(personCredential.userId, personId), isNotNull(personCredential.password)))
    .get();
  return row !== undefined;
}
