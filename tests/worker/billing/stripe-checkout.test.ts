import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { stripeProvider } from '../../../worker/billing/stripe/stripe.ts';
import { beginTopUp, canTopUp } from '../../../worker/billing/top-up.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { usd } from '../../../worker/domain/money.ts';
import { config } from '../../../worker/env.ts';
import { deliver, env, newAccount, paidBalance } from './fixtures.ts';
import { API_KEY, FakeStripe } from './stripe-fake.ts';
import { withStripe } from './stripe-fixtures.ts';
import { WEBHOOK_SECRET } from './stripe-signed.ts';

const LIVE_KEY = API_KEY.replace('test', 'live');

let stripe: FakeStripe;

beforeEach(() => {
  stripe = new FakeStripe();
  vi.stubGlobal('fetch', stripe.fetch);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function provider() {
  return stripeProvider(
    { publicOrigin: 'https://tollgate.test', stripe: { secretKey: API_KEY, webhookSecret: WEBHOOK_SECRET } },
    { fetch: stripe.fetch },
  );
}

function order() {
  const customerRef = stripe.newCustomer({}).id;
  const amountNanoUsd = usd(33.5);
  return {
    orderId: newId('order', Date.now()),
    amountNanoUsd,
    currency: 'USD',
    customerRef,
    purchaseOrder: null,
  };
}

describe('the settings', () => {
  it.each([
    [{ STRIPE_WEBHOOK_SECRET: undefined }, 'STRIPE_WEBHOOK_SECRET is not set, but STRIPE_SECRET_KEY is'],
    [{ STRIPE_SECRET_KEY: undefined }, 'STRIPE_SECRET_KEY is not set, but STRIPE_WEBHOOK_SECRET is'],
    [{ STRIPE_WEBHOOK_SECRET: '' }, 'STRIPE_WEBHOOK_SECRET must be the signing secret'],
    [{ STRIPE_SECRET_KEY: '' }, 'STRIPE_SECRET_KEY must be a Stripe secret or restricted key'],
    [{ STRIPE_SECRET_KEY: 'pk_test_0123456789abcdef' }, 'STRIPE_SECRET_KEY must be a Stripe secret'],
    [{ STRIPE_WEBHOOK_SECRET: 'whsec_short' }, 'STRIPE_WEBHOOK_SECRET must be the signing secret'],
    [{ ENVIRONMENT: 'production' }, 'STRIPE_SECRET_KEY is a test key: production needs a live one'],
  ])('%j are refused with an explanation', (change, sentence) => {
    expect(() => config({ ...withStripe, ...change })).toThrow(sentence);
  });

  it('never put a secret into the error', () => {
    const using = { ...withStripe, STRIPE_SECRET_KEY: 'pk_test_0123456789abcdef' };
    expect(() => config(using)).toThrow(/^(?!.*0123456789abcdef)/);
  });

  it('are optional', () => {
    expect(config(env).stripe).toBe(null);
  });

  it('enable top-ups in production, where the sandbox does not exist', async () => {
    const production = { ...withStripe, ENVIRONMENT: 'production', STRIPE_SECRET_KEY: LIVE_KEY };
    expect(canTopUp(production)).toBe(true);
    const event = { headers: {}, body: '{}' };
    expect(await deliver(event, { using: production })).toEqual([404, 'provider_unknown']);
    expect(await deliver(event, { using: production, path: '/webhooks/stripe' })).toEqual([
      400,
      'signature_missing',
    ]);
  });
});

describe('a top-up', () => {
  it('goes to Checkout for exactly the order, and credits nothing', async () => {
    const accountId = await newAccount();
    const result = await beginTopUp(withStripe, { accountId, amountNanoUsd: usd(33.5), nowMs: Date.now() });
    const row = await env.DB.prepare('select * from payment_order where account_id = ?')
      .bind(accountId)
      .first();
    expect(row).toMatchObject({ provider: 'stripe', state: 'open', amount_nano_usd: 33_500_000_000 });
    const [session] = stripe.sessions;
    expect(result).toEqual({ ok: true, redirectUrl: session!.url });
    const [customer] = stripe.customers.keys();
    expect(stripe.calls).toEqual([
      {
        method: 'POST',
        path: '/v1/customers',
        idempotencyKey: `customer/${accountId}`,
        params: { 'metadata[tollgate_account_id]': accountId },
      },
      {
        method: 'POST',
        path: '/v1/checkout/sessions',
        idempotencyKey: `checkout/${row!.id}`,
        params: {
          mode: 'payment',
          client_reference_id: row!.id,
          'metadata[tollgate_order_id]': row!.id,
          'metadata[tollgate_order_kind]': 'checkout',
          'payment_intent_data[metadata][tollgate_order_id]': row!.id,
          'payment_intent_data[metadata][tollgate_order_kind]': 'checkout',
          'payment_intent_data[description]': `Tollgate credit, ${row!.id}`,
          'line_items[0][quantity]': '1',
          'line_items[0][price_data][currency]': 'usd',
          'line_items[0][price_data][unit_amount]': '3350',
          'line_items[0][price_data][product_data][name]': 'Tollgate credit',
          'adaptive_pricing[enabled]': 'false',
          customer,
          'customer_update[name]': 'auto',
          'customer_update[address]': 'auto',
          billing_address_collection: 'auto',
          'tax_id_collection[enabled]': 'true',
          'invoice_creation[enabled]': 'true',
          'invoice_creation[invoice_data][metadata][tollgate_order_id]': row!.id,
          'invoice_creation[invoice_data][metadata][tollgate_order_kind]': 'checkout',
          'invoice_creation[invoice_data][description]': `Tollgate credit, ${row!.id}`,
          success_url: `https://tollgate.test/billing?order=${row!.id}`,
          cancel_url: 'https://tollgate.test/billing',
        },
      },
    ]);
    expect(await paidBalance(accountId)).toBe(0);
  });

  it('begun twice is one checkout', async () => {
    const same = order();
    const [first, second] = [await provider().beginCheckout(same), await provider().beginCheckout(same)];
    expect(second).toEqual(first);
    expect(stripe.sessions).toHaveLength(1);
  });
});

describe('a failing Stripe API', () => {
  /** Settles work with the SDK's timeouts and pauses between retries skipped. */
  async function withoutPauses<T>(work: Promise<T>): Promise<T | Error> {
    const settled = work.catch((error: Error) => error);
    await vi.advanceTimersByTimeAsync(60_000);
    return settled;
  }

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  it.each([
    ['for a moment', [{ status: 500, error: { type: 'api_error' } }]],
    ['by a busy lock', [{ status: 409, error: { type: 'invalid_request_error', code: 'lock_timeout' } }]],
    ['by a lost connection', ['reset', 'reset']],
    ['by losing its answer', ['lost after the work', 'lost after the work']],
    ['by silence', ['never answers']],
  ] as const)('%s is asked again under the same key: one checkout', async (_, faults) => {
    stripe.faults.push(...faults);
    expect(await withoutPauses(provider().beginCheckout(order()))).toEqual({
      redirectUrl: stripe.sessions[0]!.url,
    });
    expect(stripe.sessions).toHaveLength(1);
    expect(stripe.calls).toHaveLength(faults.length + 1);
    expect(new Set(stripe.calls.map((call) => call.idempotencyKey)).size).toBe(1);
  });

  it.each([
    [
      'a refused card',
      [{ status: 402, error: { type: 'card_error', code: 'card_declined', message: 'Jenny’s card' } }],
      'card_declined, status 402',
    ],
    [
      'a limit',
      [{ status: 429, error: { type: 'invalid_request_error', code: 'rate_limit' } }],
      'status 429',
    ],
    ['a wrong request', [{ status: 400, error: { type: 'invalid_request_error' } }], 'status 400'],
    ['an outage', Array(3).fill({ status: 500, error: { type: 'api_error' } }), 'status 500'],
    ['silence', Array(3).fill('never answers'), 'StripeConnectionError'],
    ['no connection', Array(3).fill('reset'), 'StripeConnectionError'],
    ['a page of HTML', Array(3).fill('html'), 'StripeAPIError'],
  ])('with %s ends in an error that only says where to look', async (_, faults, says) => {
    stripe.faults.push(...(faults as never[]));
    const error = (await withoutPauses(provider().beginCheckout(order()))) as Error;
    expect(String(error)).toMatch(/^StripeCallError: Stripe POST \/v1\/checkout\/sessions failed: /);
    expect(String(error)).toContain(says);
    if (says.includes('status')) expect(String(error)).toContain('request req_of_the_failure');
    expect(String(error)).not.toMatch(/Jenny|sk_test|html/);
    expect(stripe.sessions).toHaveLength(0);
  });

  it('leaves the order open', async () => {
    stripe.faults.push(...Array(3).fill('reset'));
    const accountId = await newAccount();
    const begun = beginTopUp(withStripe, { accountId, amountNanoUsd: usd(20), nowMs: Date.now() });
    expect(await withoutPauses(begun)).toEqual({ ok: false, reason: 'provider_unavailable' });
    const state = await env.DB.prepare('select state from payment_order where account_id = ?')
      .bind(accountId)
      .first('state');
    expect(state).toBe('open');
  });
});
