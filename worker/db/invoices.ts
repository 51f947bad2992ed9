/** Invoices as they were issued, and the billing details that the next ones are made out to. */
import { and, eq, sql } from 'drizzle-orm';
import { type AuditEntry, addAudit } from './audit.ts';
import type { Database } from './client.ts';
import type { Buyer } from './schema/payments.ts';
import { billingDetails, invoice } from './schema.ts';

export type InvoiceRow = typeof invoice.$inferSelect;

export async function findBillingDetails(db: Database, accountId: string): Promise<Buyer | null> {
  const { legalName, address, country, taxId } = billingDetails;
  const row = await db
    .select({ legalName, address, country, taxId })
    .from(billingDetails)
    .where(eq(billingDetails.accountId, accountId))
    .get();
  return row ?? null;
}

/** Saves billing details for the next invoices; those already issued stay as they are. */
export async function saveBillingDetails(
  db: Database,
  { accountId, buyer, nowMs, entry }: { accountId: string; buyer: Buyer; nowMs: number; entry: AuditEntry },
): Promise<void> {
  const set = { ...buyer, updatedAtMs: nowMs };
  await db.batch([
    db
      .insert(billingDetails)
      .values({ accountId, ...set })
      .onConflictDoUpdate({ target: billingDetails.accountId, set }),
    addAudit(db, entry),
  ]);
}

/**
 * For the batch that marks an order paid: issues the order's one invoice, with the next number and the account's
 * billing details as they are now. D1 runs one batch at a time, so numbers have no gap and none is given twice.
 */
export function issueInvoice(db: Database, { orderId, nowMs }: { orderId: string; nowMs: number }) {
  return (
    db
      .insert(invoice)
      // INSERT … SELECT: the table's columns in their order.
      .select(sql`
        SELECT (SELECT coalesce(max(number), 0) + 1 FROM invoice), o.id, o.account_id, ${nowMs}, o.amount_nano_usd,
          CASE WHEN d.account_id IS NULL THEN NULL ELSE json_object('legalName', d.legal_name, 'address', d.address,
            'country', d.country, 'taxId', d.tax_id) END,
          o.purchase_order, o.tax_nano_usd
        FROM payment_order AS o LEFT JOIN billing_details AS d ON d.account_id = o.account_id
        WHERE o.id = ${orderId} AND o.state = 'paid'`)
      .onConflictDoNothing()
  );
}

/** Finds an invoice of the account; null: there is none, or it is another account's. */
export async function findInvoice(
  db: Database,
  which: { accountId: string; number: number },
): Promise<InvoiceRow | null> {
  const row = await db
    .select()
    .from(invoice)
    .where(and(eq(invoice.number, which.number), eq(invoice.accountId, which.accountId)))
    .get();
  return row ?? null;
}

export async function invoiceOfOrder(db: Database, orderId: string): Promise<InvoiceRow | null> {
  return (await db.select().from(invoice).where(eq(invoice.orderId, orderId)).get()) ?? null;
}

/** Invoice numbers of the account, by order id. */
export async function invoiceNumbers(db: Database, accountId: string): Promise<Map<string, number>> {
  const rows = await db
    .select({ orderId: invoice.orderId, number: invoice.number })
    .from(invoice)
    .where(eq(invoice.accountId, accountId))
    .orderBy(sql`number DESC`);
  return new Map(rows.map(({ orderId, number }) => [orderId, number]));
}
