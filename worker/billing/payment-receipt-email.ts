/** The e-mail that confirms a payment, to the account's owners and billing members. */
import { database } from '../db/client.ts';
import { invoiceOfOrder } from '../db/invoices.ts';
import { noticeAddresses } from '../db/notices.ts';
import { claimReceipt, type PaymentOrder, releaseReceipt } from '../db/payments.ts';
import { invoiceName } from '../domain/invoice.ts';
import { nanoUsd } from '../domain/money.ts';
import { PAYING_ROLES } from '../domain/notice.ts';
import { config, type Env } from '../env.ts';
import { LOCALES } from '../i18n/locale.ts';
import { sendAccountEmail, sendsEmail } from '../notifications/email/send.ts';

/**
 * Queues the e-mail to each address, once for the order; does nothing when e-mail is off or the order has no invoice.
 * @throws when the queue is down: the provider's next delivery tries again
 */
export async function sendPaymentReceipt(env: Env, order: PaymentOrder, nowMs: number): Promise<void> {
  if (!sendsEmail(env)) return;
  const db = database(env);
  const row = await invoiceOfOrder(db, order.id);
  if (row === null) return;
  const invoice = invoiceName(row.number);
  const url = `${config(env).publicOrigin}/billing/invoices/${invoice}`;
  const post = { kind: 'receipt', url, invoice, amountNanoUsd: nanoUsd(row.amountNanoUsd) } as const;
  const addresses = await noticeAddresses(db, { accountId: order.accountId, roles: PAYING_ROLES });
  // The addresses come without a language, so all get the first locale.
  if (!(await claimReceipt(db, order.id, nowMs))) return;
  try {
    await Promise.all(addresses.map((to) => sendAccountEmail(env, { to, locale: LOCALES[0], post }, nowMs)));
  } catch (error) {
    await releaseReceipt(db, order.id);
    throw error;
  }
}
