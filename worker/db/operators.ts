/** Operators: people who may use the operator's console. */
import { eq } from 'drizzle-orm';
import { addAudit } from './audit.ts';
import type { Database } from './client.ts';
import { person } from './schema.ts';

/**
 * Makes an existing person an operator.
 * @param email in any case: people are stored under the lower-case form
 * @returns the person's id; null when nobody has that e-mail
 */
export async function makeOperator(
  db: Database,
  { email, actor, nowMs }: { email: string; actor: string; nowMs: number },
): Promise<string | null> {
  const people = await db.select().from(person).where(eq(person.email, email.toLowerCase()));
  const [found] = people;
  if (found === undefined) return null;
  await db.batch([
    db
      .update(person)
      .set({ role: 'operator', updatedAt: new Date(nowMs) })
      .where(eq(person.id, found.id)),
    addAudit(db, {
      atMs: nowMs,
      actor,
      action: 'person.made_operator',
      subject: found.id,
      detail: { from: found.role },
    }),
  ]);
  return found.id;
}
