import { describe, expect, it } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import { config, type Env } from '../../../worker/env.ts';
import { signWebhook } from '../../../worker/lib/standard-webhooks.ts';
import {
  deliver,
  env,
  newAccount,
  newOrder,
  orderState,
  paidBalance,
  type SignedDelivery,
  signedEvent,
  topUpEntries,
} from './fixtures.ts';

const TWENTY_DOLLARS = 20_000_000_000;

async function beginOrder() {
  const accountId = await newAccount();
  return { accountId, orderId: await newOrder(accountId) };
}

/** Signs any body as the provider would. */
async function signed(body: string, id = newId('evt', Date.now())): Promise<SignedDelivery> {
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const message = { id, timestamp, body: new TextEncoder().encode(body) };
  return { headers: await signWebhook(config(env).sandboxWebhookSecret, message), body };
}

/** The real environment, except for one Wallet call, which a test can make fail. */
function withTopUp(topUp: (real: Env['WALLET'], accountId: string, order: never) => Promise<unknown>): Env {
  const getByName = (accountId: string) => ({
    topUp: (order: never) => topUp(env.WALLET, accountId, order),
  });
  return { ...env, WALLET: { getByName } as unknown as Env['WALLET'] };
}

describe('a paid event', () => {
  it('credits the account of its order and marks the order paid', async () => {
    const { accountId, orderId } = await beginOrder();
    expect(await deliver(await signedEvent({ orderId }))).toEqual([200, 'credited']);
    expect(await paidBalance(accountId)).toBe(TWENTY_DOLLARS);
    expect(await orderState(orderId)).toBe('paid');
  });

  it('delivered again is known by its id', async () => {
    const { accountId, orderId } = await beginOrder();
    const event = await signedEvent({ orderId });
    await deliver(event);
    expect(await deliver(event)).toEqual([200, 'duplicate']);
    expect(await paidBalance(accountId)).toBe(TWENTY_DOLLARS);
  });

  it('under another id credits its order no second time', async () => {
    const { accountId, orderId } = await beginOrder();
    await deliver(await signedEvent({ orderId }));
    expect((await deliver(await signedEvent({ orderId })))[0]).toBe(200);
    expect(await topUpEntries(accountId)).toBe(1);
  });

  it('delivered many times at once credits once', async () => {
    const { accountId, orderId } = await beginOrder();
    const event = await signedEvent({ orderId });
    const other = await signedEvent({ orderId });
    const deliveries = Array.from({ length: 16 }, (_, i) => deliver(i % 2 ? event : other));
    for (const [status] of await Promise.all(deliveries)) expect(status).toBe(200);
    expect(await topUpEntries(accountId)).toBe(1);
    expect(await paidBalance(accountId)).toBe(TWENTY_DOLLARS);
  });
});

it('signed with the next secret is accepted while both are set, and with the old one refused afterwards', async () => {
  const NEXT = 'the-next-sandbox-secret-0123456789';
  const OLD = config(env).sandboxWebhookSecret;
  const accepted = { ...env, SANDBOX_WEBHOOK_SECRET_NEXT: NEXT };
  const inUse = { ...accepted, USE_NEXT: 'SANDBOX_WEBHOOK_SECRET' };
  const after = { ...env, SANDBOX_WEBHOOK_SECRET: NEXT };
  for (const using of [accepted, inUse]) {
    for (const secret of [OLD, NEXT]) {
      const { accountId, orderId } = await beginOrder();
      expect(await deliver(await signedEvent({ orderId }, { secret }), { using })).toEqual([200, 'credited']);
      expect(await paidBalance(accountId)).toBe(TWENTY_DOLLARS);
    }
  }
  const { accountId, orderId } = await beginOrder();
  const early = await signedEvent({ orderId }, { secret: NEXT });
  expect(await deliver(early)).toEqual([400, 'signature_mismatch']);
  const late = await signedEvent({ orderId }, { secret: OLD });
  expect(await deliver(late, { using: after })).toEqual([400, 'signature_mismatch']);
  expect(await paidBalance(accountId)).toBe(0);
  expect(await deliver(early, { using: after })).toEqual([200, 'credited']);
});

describe('a delivery that breaks off', () => {
  it('before the Wallet is answered with 500, and the redelivery credits', async () => {
    const { accountId, orderId } = await beginOrder();
    const event = await signedEvent({ orderId });
    const using = withTopUp(() => Promise.reject(new Error('this Wallet is down')));
    expect((await deliver(event, { using }))[0]).toBe(500);
    expect(await orderState(orderId)).toBe('open');
    expect(await deliver(event)).toEqual([200, 'credited']);
    expect(await paidBalance(accountId)).toBe(TWENTY_DOLLARS);
  });

  it('after the Wallet, before D1, ends in one credit as well', async () => {
    const { accountId, orderId } = await beginOrder();
    const event = await signedEvent({ orderId });
    const using = withTopUp(async (wallet, id, order) => {
      await wallet.getByName(id).topUp(order);
      throw new Error('the reply was lost');
    });
    expect((await deliver(event, { using }))[0]).toBe(500);
    expect(await paidBalance(accountId)).toBe(TWENTY_DOLLARS);
    expect(await orderState(orderId)).toBe('open');
    expect(await deliver(event)).toEqual([200, 'credited']);
    expect(await topUpEntries(accountId)).toBe(1);
    expect(await orderState(orderId)).toBe('paid');
  });
});

describe('events out of order', () => {
  it('a late decline takes nothing back', async () => {
    const { accountId, orderId } = await beginOrder();
    const declined = await signedEvent({ orderId, decision: 'declined' });
    await deliver(await signedEvent({ orderId }));
    expect(await deliver(declined)).toEqual([200, 'noted']);
    expect(await orderState(orderId)).toBe('paid');
    expect(await paidBalance(accountId)).toBe(TWENTY_DOLLARS);
  });

  it('a decline credits nothing, and the next card still can', async () => {
    const { accountId, orderId } = await beginOrder();
    expect(await deliver(await signedEvent({ orderId, decision: 'declined' }))).toEqual([200, 'noted']);
    expect(await paidBalance(accountId)).toBe(0);
    expect(await deliver(await signedEvent({ orderId }))).toEqual([200, 'credited']);
  });
});

describe('a forged event', () => {
  it.each<[string, string, (event: SignedDelivery) => SignedDelivery | Promise<SignedDelivery>]>([
    [
      'no signature',
      'signature_missing',
      ({ headers, body }) => ({ headers: without(headers, 'webhook-signature'), body }),
    ],
    [
      'no id',
      'signature_missing',
      ({ headers, body }) => ({ headers: without(headers, 'webhook-id'), body }),
    ],
    [
      'no timestamp',
      'signature_missing',
      ({ headers, body }) => ({ headers: without(headers, 'webhook-timestamp'), body }),
    ],
    ['an empty signature', 'signature_missing', (event) => changed(event, { 'webhook-signature': 'v1,' })],
    [
      'a signature of another scheme',
      'signature_missing',
      (event) =>
        changed(event, { 'webhook-signature': event.headers['webhook-signature']!.replace('v1,', 'v1a,') }),
    ],
    [
      'a signature of zeros',
      'signature_mismatch',
      (event) => changed(event, { 'webhook-signature': `v1,${'A'.repeat(43)}=` }),
    ],
    [
      'another id',
      'signature_mismatch',
      (event) => changed(event, { 'webhook-id': newId('evt', Date.now()) }),
    ],
    [
      'an id that swallows the timestamp',
      'signature_missing',
      (event) => changed(event, { 'webhook-id': `${event.headers['webhook-id']}.1` }),
    ],
    [
      'another timestamp',
      'signature_mismatch',
      (event) =>
        changed(event, { 'webhook-timestamp': String(Number(event.headers['webhook-timestamp']) + 1) }),
    ],
    [
      'a changed amount',
      'signature_mismatch',
      ({ headers, body }) => ({ headers, body: body.replace('2000', '9000') }),
    ],
    ['one byte more', 'signature_mismatch', ({ headers, body }) => ({ headers, body: `${body} ` })],
    ['an empty body', 'signature_mismatch', ({ headers }) => ({ headers, body: '' })],
  ])('with %s is refused: %s', async (_, code, forge) => {
    const { accountId, orderId } = await beginOrder();
    expect(await deliver(await forge(await signedEvent({ orderId })))).toEqual([400, code]);
    expect(await paidBalance(accountId)).toBe(0);
    expect(await orderState(orderId)).toBe('open');
  });

  it('signed with another secret is refused', async () => {
    const { accountId, orderId } = await beginOrder();
    const event = await signedEvent({ orderId }, { secret: 'another-webhook-secret-0123' });
    expect(await deliver(event)).toEqual([400, 'signature_mismatch']);
    expect(await paidBalance(accountId)).toBe(0);
  });

  it('cannot be signed with an empty secret, and the edge does not start with one', async () => {
    const { orderId } = await beginOrder();
    await expect(signedEvent({ orderId }, { secret: '' })).rejects.toThrow('at least 16 characters');
    const using = { ...env, SANDBOX_WEBHOOK_SECRET: '' };
    expect((await deliver(await signedEvent({ orderId }), { using }))[0]).toBe(500);
    expect(() => config(using)).toThrow('SANDBOX_WEBHOOK_SECRET must have at least 16 characters');
  });

  it('is accepted when one of several signatures is right, as while a secret is rotated', async () => {
    const { orderId } = await beginOrder();
    const event = await signedEvent({ orderId });
    const right = event.headers['webhook-signature'];
    const both = changed(event, { 'webhook-signature': `v1,${'A'.repeat(43)}= ${right}` });
    expect(await deliver(both)).toEqual([200, 'credited']);
  });
});

describe('an old or early event', () => {
  it.each([
    [-299_000, 200],
    [-302_000, 400],
    [290_000, 200],
    [302_000, 400],
  ])('%i ms from now is answered with %i', async (offsetMs, status) => {
    const { accountId, orderId } = await beginOrder();
    const [answered, code] = await deliver(await signedEvent({ orderId }, { atMs: Date.now() + offsetMs }));
    expect(answered).toBe(status);
    if (status === 400) expect(code).toBe('timestamp_out_of_tolerance');
    expect(await paidBalance(accountId)).toBe(status === 200 ? TWENTY_DOLLARS : 0);
  });
});

describe('an event that is signed but does not fit', () => {
  it.each([
    ['a smaller amount', { amountCents: 1 }],
    ['a larger amount', { amountCents: 500_000 }],
    ['another currency', { currency: 'JPY' }],
    ['the currency in another case', { currency: 'usd' }],
  ])('its order for %s credits nothing and is held', async (_, change) => {
    const { accountId, orderId } = await beginOrder();
    expect(await deliver(await signedEvent({ orderId, ...change }))).toEqual([200, 'held']);
    expect(await paidBalance(accountId)).toBe(0);
    expect(await orderState(orderId)).toBe('open');
  });

  it('any order is refused', async () => {
    for (const orderId of [newId('order', Date.now()), "' or 1=1 --", '']) {
      expect(await deliver(await signedEvent({ orderId }))).toEqual([404, 'order_unknown']);
    }
  });

  it('an order of another provider is refused', async () => {
    const { accountId, orderId } = await beginOrder();
    await env.DB.prepare("update payment_order set provider = 'stripe' where id = ?").bind(orderId).run();
    expect(await deliver(await signedEvent({ orderId }))).toEqual([400, 'provider_mismatch']);
    expect(await paidBalance(accountId)).toBe(0);
  });

  it('pays its own order and nobody else’s', async () => {
    const [mine, theirs] = [await beginOrder(), await beginOrder()];
    await deliver(await signedEvent({ orderId: mine.orderId }));
    expect(await paidBalance(mine.accountId)).toBe(TWENTY_DOLLARS);
    expect(await paidBalance(theirs.accountId)).toBe(0);
    expect(await orderState(theirs.orderId)).toBe('open');
  });

  it.each([
    'nonsense',
    '{}',
    '[]',
    '{"type":"payment.paid","data":{"order_id":"x","amount_cents":1e999,"currency":"USD"}}',
    '{"type":"payment.paid","data":{"order_id":"x","amount_cents":-5,"currency":"USD"}}',
    '{"type":"payment.paid","data":{"order_id":"x","amount_cents":0.5,"currency":"USD"}}',
  ])('the schema is refused: %s', async (body) => {
    expect(await deliver(await signed(body))).toEqual([400, 'event_malformed']);
  });

  it('any known event type is ignored', async () => {
    const body = '{"type":"constructor","data":{"order_id":"x","amount_cents":1,"currency":"USD"}}';
    expect(await deliver(await signed(body))).toEqual([200, 'ignored']);
  });
});

describe('the endpoint', () => {
  it('refuses a body above 64 KiB unread', async () => {
    const body = 'x'.repeat(64 * 1024 + 1);
    expect(await deliver({ headers: {}, body })).toEqual([413, 'body_too_large']);
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    void writer.write(new TextEncoder().encode(body)).then(
      () => writer.close(),
      () => {},
    );
    expect(await deliver({ headers: {}, body: readable })).toEqual([413, 'body_too_large']);
  });

  it('knows no other provider, and in production no sandbox', async () => {
    const { accountId, orderId } = await beginOrder();
    const event = await signedEvent({ orderId });
    expect(await deliver(event, { path: '/webhooks/stripe' })).toEqual([404, 'provider_unknown']);
    const using = { ...env, ENVIRONMENT: 'production' };
    expect(await deliver(event, { using })).toEqual([404, 'provider_unknown']);
    expect(await paidBalance(accountId)).toBe(0);
  });
});

function without(headers: Record<string, string>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
}

function changed({ headers, body }: SignedDelivery, change: Record<string, string>): SignedDelivery {
  return { headers: { ...headers, ...change }, body };
}
