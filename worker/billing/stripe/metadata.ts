/** The metadata by which Tollgate recognises its own objects at Stripe: one Stripe account may sell other things. */
import * as z from 'zod';
import type { PaymentOrder } from '../../db/payments.ts';

const ORDER_KEY = 'tollgate_order_id';
const KIND_KEY = 'tollgate_order_kind';
const ACCOUNT_KEY = 'tollgate_account_id';

export const Metadata = z.record(z.string(), z.unknown()).nullish();
type Metadata = z.infer<typeof Metadata>;

/**
 * Metadata of a payment and of everything that Stripe derives from it: a charge inherits its payment's, by which a
 * refund finds its order.
 */
export function orderMetadata(orderId: string, kind: PaymentOrder['kind']): Record<string, string> {
  return { [ORDER_KEY]: orderId, [KIND_KEY]: kind };
}

export function accountMetadata(accountId: string): Record<string, string> {
  return { [ACCOUNT_KEY]: accountId };
}

export function orderIn(metadata: Metadata): string | null {
  return text(metadata?.[ORDER_KEY]);
}

export function orderKindIn(metadata: Metadata): string | null {
  return text(metadata?.[KIND_KEY]);
}

export function accountIn(metadata: Metadata): string | null {
  return text(metadata?.[ACCOUNT_KEY]);
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
