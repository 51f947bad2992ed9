/** Stripe's pages: Checkout to pay, with an invoice and an optional tax id, and Checkout to save a card. */
import { CURRENCY } from '../payable.ts';
import { type CheckoutOrder, NANO_PER_CENT } from '../provider.ts';
import type { StripeCalls } from './api.ts';
import { fromStripe, StripeCallError } from './call-error.ts';
import { accountMetadata, orderMetadata } from './metadata.ts';

const SESSIONS = 'POST /v1/checkout/sessions';

/**
 * Creates a customer without name and e-mail: Checkout asks for what the invoice needs and keeps it with the
 * customer.
 */
export async function newCustomer({ api }: StripeCalls, accountId: string): Promise<string> {
  const params = { metadata: accountMetadata(accountId) };
  const options = { idempotencyKey: `customer/${accountId}` };
  return (await fromStripe('POST /v1/customers', api().customers.create(params, options))).id;
}

export async function beginCheckout(
  { api, publicOrigin }: StripeCalls,
  { orderId, amountNanoUsd, currency, customerRef, purchaseOrder }: CheckoutOrder,
): Promise<{ redirectUrl: string }> {
  const metadata = orderMetadata(orderId, 'checkout');
  const description = `Tollgate credit, ${orderId}`;
  const session = await fromStripe(
    SESSIONS,
    api().checkout.sessions.create(
      {
        mode: 'payment',
        client_reference_id: orderId,
        metadata,
        payment_intent_data: { metadata, description },
        line_items: [
          {
            quantity: 1,
            price_data: {
              currency: currency.toLowerCase(),
              unit_amount: amountNanoUsd / NANO_PER_CENT,
              product_data: { name: 'Tollgate credit' },
            },
          },
        ],
        // The amount paid must be the amount ordered, to the cent and in its currency.
        adaptive_pricing: { enabled: false },
        customer: customerRef,
        // A tax id belongs to a name and an address, which Stripe stores on the customer only with these options.
        customer_update: { name: 'auto', address: 'auto' },
        billing_address_collection: 'auto',
        tax_id_collection: { enabled: true },
        invoice_creation: {
          enabled: true,
          invoice_data: {
            metadata,
            description,
            ...(purchaseOrder && { custom_fields: [{ name: 'Purchase order', value: purchaseOrder }] }),
          },
        },
        success_url: `${publicOrigin}/billing?order=${orderId}`,
        cancel_url: `${publicOrigin}/billing`,
      },
      { idempotencyKey: `checkout/${orderId}` },
    ),
  );
  return redirectTo(session.url);
}

/** The card is for charges without a person present: Stripe has the bank confirm it now, so that it need not later. */
export async function beginCardSetup(
  { api, publicOrigin }: StripeCalls,
  { accountId, customerRef }: { accountId: string; customerRef: string },
): Promise<{ redirectUrl: string }> {
  const metadata = accountMetadata(accountId);
  const session = await fromStripe(
    SESSIONS,
    api().checkout.sessions.create({
      mode: 'setup',
      currency: CURRENCY.toLowerCase(),
      // Bank transfers and the like settle days later, too late for a balance that runs out now.
      allowed_payment_method_types: ['card'],
      customer: customerRef,
      metadata,
      setup_intent_data: { metadata },
      success_url: `${publicOrigin}/billing?card=saved#recharge`,
      cancel_url: `${publicOrigin}/billing#recharge`,
    }),
  );
  return redirectTo(session.url);
}

function redirectTo(url: string | null): { redirectUrl: string } {
  if (!url) throw new StripeCallError(SESSIONS, 'no url in the answer');
  return { redirectUrl: url };
}
