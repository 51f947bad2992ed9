/** Sends the sandbox's events: signed, and received like any provider's event, only without the network in between. */
import type { PaymentOrder } from '../../db/payments.ts';
import type { DeclineReason } from '../../domain/decline-reasons.ts';
import { config, type Env } from '../../env.ts';
import { NANO_PER_CENT, type PaymentProvider } from '../provider.ts';
import { receive } from '../receive.ts';
import { type SandboxEvent, signedSandboxEvent } from './events.ts';

export const SANDBOX_INVOICE_PATH = '/sandbox/invoices';

/** The parts of an order that an event is made of. */
export type SandboxPayment = Pick<PaymentOrder, 'id' | 'kind' | 'amountNanoUsd' | 'currency'>;

/** Signs and delivers an event. @returns false: the event was refused */
export async function sendSandboxEvent(
  env: Env,
  sandbox: PaymentProvider,
  event: SandboxEvent,
): Promise<boolean> {
  const nowMs = Date.now();
  const { headers, body } = await signedSandboxEvent(config(env), event, nowMs);
  const delivery = { headers: new Headers(headers), body: new TextEncoder().encode(body), nowMs };
  return (await receive(env, sandbox, delivery)).ok;
}

/** Sends the outcome of a payment; for a paid one also the event with its invoice. */
export async function sendOutcome(
  env: Env,
  sandbox: PaymentProvider,
  { order, declines }: { order: SandboxPayment; declines: DeclineReason | null },
): Promise<boolean> {
  const amount = {
    order_id: order.id,
    amount_cents: order.amountNanoUsd / NANO_PER_CENT,
    currency: order.currency,
  };
  const data = { ...amount, order_kind: order.kind };
  if (declines !== null)
    return sendSandboxEvent(env, sandbox, { type: 'payment.declined', data: { ...data, reason: declines } });
  if (!(await sendSandboxEvent(env, sandbox, { type: 'payment.paid', data }))) return false;
  const invoice_url = `${config(env).publicOrigin}${SANDBOX_INVOICE_PATH}/${order.id}`;
  return sendSandboxEvent(env, sandbox, { type: 'invoice.paid', data: { ...amount, invoice_url } });
}
