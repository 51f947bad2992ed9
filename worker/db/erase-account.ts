/**
 * Erases what names people and addresses in a closed account, and its members who belong to no open account. Ids, the
 * ledger, usage, payments and issued invoices stay: a bill and its proof rest on them.
 */
import { and, isNotNull, sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { account } from './schema.ts';

/** Closed accounts that still have their names: their closing was cut short, or older than erasing. */
export async function closedAccountsToErase(db: Database, limit: number): Promise<string[]> {
  const rows = await db
    .select({ id: account.id })
    .from(account)
    // In these words the partial index says which accounts it has.
    .where(and(isNotNull(account.closedAtMs), sql`name <> id`))
    .limit(limit);
  return rows.map(({ id }) => id);
}

/** Members of account ?1 who belong to no open account. */
const LEAVING = `(SELECT person_id FROM member WHERE account_id = ?1 AND NOT EXISTS (
  SELECT 1 FROM member AS other JOIN account AS open ON open.id = other.account_id
  WHERE other.person_id = member.person_id AND open.closed_at_ms IS NULL))`;

/** ?1: the account. Of a person only the id is left; members leave the account last, because the others ask for them. */
const ERASE_PEOPLE = [
  // The value is the person's id or address, or JSON with one of them in quotation marks, so that no longer address fits.
  `DELETE FROM person_verification WHERE EXISTS (SELECT 1 FROM person AS p WHERE p.id IN ${LEAVING}
    AND (value IN (p.id, p.email) OR instr(value, '"' || p.email || '"') > 0 OR instr(value, '"' || p.id || '"') > 0))`,
  `DELETE FROM person_session WHERE person_id IN ${LEAVING}`,
  `DELETE FROM person_credential WHERE person_id IN ${LEAVING}`,
  `DELETE FROM person_two_factor WHERE person_id IN ${LEAVING}`,
  `UPDATE audit SET detail = '{}' WHERE subject IN ${LEAVING} AND detail <> '{}'`,
  `UPDATE person SET name = '', email = id || '@removed.invalid', email_verified = 0, image = NULL, role = 'customer',
    locale = NULL, two_factor_enabled = 0 WHERE id IN ${LEAVING}`,
  'DELETE FROM member WHERE account_id = ?1',
];

/** The last statement marks the account as erased, by giving it its id as its name. */
const ERASE_ACCOUNT = [
  'DELETE FROM invitation WHERE account_id = ?1',
  'DELETE FROM model_alias WHERE account_id = ?1',
  'DELETE FROM notice_delivery WHERE account_id = ?1',
  'DELETE FROM notice WHERE account_id = ?1',
  'DELETE FROM webhook_secret WHERE endpoint_id IN (SELECT id FROM webhook_endpoint WHERE account_id = ?1)',
  'DELETE FROM webhook_endpoint WHERE account_id = ?1',
  "UPDATE api_key SET name = '' WHERE account_id = ?1",
  'DELETE FROM billing_details WHERE account_id = ?1',
  'UPDATE payment_order SET purchase_order = NULL WHERE account_id = ?1',
  'DELETE FROM auto_recharge WHERE account_id = ?1',
  // The next run of retention/prune.ts deletes the content of expired files.
  "UPDATE file SET name = '', expires_at_ms = 0 WHERE account_id = ?1",
  'UPDATE batch SET metadata = NULL, errors = NULL WHERE account_id = ?1',
  "UPDATE audit SET detail = '{}' WHERE (account_id = ?1 OR subject = ?1) AND detail <> '{}'",
  'UPDATE account SET name = id WHERE id = ?1',
];

/** Erases a closed account in one batch; an open one stays as it is. Repeating it is safe. */
export async function eraseAccount(db: Database, accountId: string): Promise<void> {
  const isClosed = db.$client.prepare('SELECT 1 FROM account WHERE id = ? AND closed_at_ms IS NOT NULL');
  if ((await isClosed.bind(accountId).first()) === null) return;
  const statements = [...ERASE_PEOPLE, ...ERASE_ACCOUNT];
  await db.$client.batch(statements.map((statement) => db.$client.prepare(statement).bind(accountId)));
}
