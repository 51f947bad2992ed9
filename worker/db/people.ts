/** People, as letters and pages need them. Who they are is better-auth's to know: people/auth.ts. */
import { and, eq, isNotNull } from 'drizzle-orm';
import type { Database } from './client.ts';
import { person, personCredential } from './schema.ts';

/** null: nobody has that address */
export async function findCorrespondent(db: Database, email: string) {
  const { locale, emailVerified, twoFactorEnabled } = person;
  const row = await db
    .select({ locale, emailVerified, twoFactorEnabled })
    .from(person)
    .where(eq(person.email, email.toLowerCase()))
    .get();
  return row ?? null;
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

/** Whoever came by a link alone has none. */
export async function hasPassword(db: Database, personId: string): Promise<boolean> {
  const row = await db
    .select({ id: personCredential.id })
    .from(personCredential)
    .where(and(eq(personCredential.userId, personId), isNotNull(personCredential.password)))
    .get();
  return row !== undefined;
}
