/** The invoice of a recharge: written when the credit is there, and never in its way. */
import type { PaymentOrder } from '../../db/payments.ts';
import { nanoUsd } from '../../domain/money.ts';
import { describeError } from '../../lib/describe-error.ts';
import { type ChargeRef, type PaymentProvider, ProviderError } from '../provider.ts';

/** As long as the provider surely knows its idempotency keys: later a second try would be a second invoice. */
const RETRY_MS_MAX = 20 * 3_600_000;

/**
 * @returns `done`, or that the event is to be delivered again, because the provider may do it the next time. What it
 * refuses for good (an API key without that right, say) is logged, for a person to write that invoice.
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
    return error.passing ? 'invoice_not_written' : done;
  }
}
