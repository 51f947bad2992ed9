/** The invoice of a recharge. It is issued after the credit, and its failure does not hold the credit up. */
import type { PaymentOrder } from '../../db/payments.ts';
import { nanoUsd } from '../../domain/money.ts';
import { describeError } from '../../lib/describe-error.ts';
import { type ChargeRef, type PaymentProvider, ProviderError } from '../provider.ts';

/**
 * The provider surely remembers its idempotency keys this long (Stripe: 24 hours at least); a later retry would issue
 * a second invoice.
 */
const RETRY_MS_MAX = 20 * 3_600_000;

/**
 * Issues the invoice. A refusal for good (an API key without that right, say) is logged, so that a person can issue
 * it.
 * @returns `done`, or that the event is to be delivered again, because a retry may succeed
 */
export async function invoiceRecharge<Done extends string>(
  provider: PaymentProvider,
  { order, charge, nowMs }: { order: PaymentOrder; charge: ChargeRef; nowMs: number },
  done: Done,
): Promise<Done | 'invoice_not_written'> {
  const paidAtMs = order.paidAtMs ?? nowMs;
  if (order.invoiceUrl !== null || nowMs - paidAtMs > RETRY_MS_MAX) return done;
  const { id: orderId, currency } = order;
  try {
    await provider.writeInvoice({
      ...charge,
      orderId,
      amountNanoUsd: nanoUsd(order.amountNanoUsd),
      currency,
    });
    return done;
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    console.error(JSON.stringify({ event: 'invoice_failed', order: orderId, error: describeError(error) }));
    return error.retryable ? 'invoice_not_written' : done;
  }
}
