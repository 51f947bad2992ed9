/** The audit trail: what operators and teams did, and what the pool noticed. Rows are only ever added. */
import { desc, type SQL, sql } from 'drizzle-orm';
import { newId } from '../domain/ids.ts';
import type { Database } from './client.ts';
import { audit } from './schema.ts';

export type AuditRow = typeof audit.$inferSelect;

export interface AuditEntry {
  readonly atMs: number;
  /** Person id, `node:…`, `pool` or `operator-token`. */
  readonly actor: string;
  /** `noun.verb`, such as `node.draining`. */
  readonly action: string;
  /** Id of the object of the action. */
  readonly subject: string;
  /** Never contains customers' content or a secret. */
  readonly detail: Record<string, string | number | null>;
  /**
   * The account whose own trail also shows the row: what a team did with its account, and what an operator did to it.
   */
  readonly accountId?: string;
}

/** A statement that adds a row: await it alone, or put it into a batch. */
export function addAudit(db: Database, entry: AuditEntry) {
  return db.insert(audit).values({ id: newId('audit', entry.atMs), ...entry });
}

/**
 * For a batch: adds the row only when the statement just before it changed exactly one row. `subject` may be an SQL
 * expression where that statement decides the id.
 */
export function addAuditIfChanged(
  db: Database,
  {
    atMs,
    actor,
    action,
    subject,
    detail,
    accountId,
  }: Omit<AuditEntry, 'subject'> & { subject: string | SQL },
) {
  const id = newId('audit', atMs);
  return db.insert(audit).select(
    sql`select ${id}, ${atMs}, ${actor}, ${action}, ${subject}, ${JSON.stringify(detail)}, ${accountId ?? null}
        where changes() = 1`,
  );
}

/** Lists the newest rows first. */
export function listAudit(db: Database, limit: number): Promise<AuditRow[]> {
  return db.select().from(audit).orderBy(desc(audit.atMs), desc(audit.id)).limit(limit);
}
