import { beforeEach, describe, expect, it, vi } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { breakAt, brokenEnv, TIMINGS } from './breaking.ts';
import { env, topUpEntries } from './fixtures.ts';
import {
  accountWithRecharge,
  FAILED,
  HOUR_MS,
  lastIntent,
  MINUTE_MS,
  notices,
  recharges,
  rule,
  runRecharge,
  SUCCEEDED,
} from './recharge-fixtures.ts';
import type { Fault } from './stripe-fake.ts';
import { available, deliver, send, withStripe } from './stripe-fixtures.ts';
import { stripe } from './stripe-fresh.ts';
import { stripeEvent } from './stripe-signed.ts';

const INTENTS = '/v1/payment_intents';
const LATER_MS = 5 * MINUTE_MS;

beforeEach(() => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});

/** Runs work with the SDK's timeouts and pauses between retries skipped. */
async function withoutPauses<T>(work: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const running = work();
  await vi.advanceTimersByTimeAsync(60_000);
  vi.useRealTimers();
  return running;
}

describe('a lost response', () => {
  const thrice = (fault: Fault): Fault[] => [fault, fault, fault];
  const outage = { status: 500, error: { type: 'api_error' } };

  it.each<[string, Fault[], number]>([
    ['after the charge', ['lost after the work', 'reset', 'reset'], 1],
    ['because nobody answers', thrice('never answers'), 0],
    ['on the way there', thrice('reset'), 0],
    ['behind a page of HTML', thrice('html'), 0],
    ['in an outage', thrice(outage), 0],
    ['in an outage that Stripe remembers under the key', thrice({ ...outage, kept: true }), 0],
    ['in a limit', [{ status: 429, error: { type: 'invalid_request_error', code: 'rate_limit' } }], 0],
    [
      'to a request that is still under way',
      thrice({ status: 409, error: { type: 'idempotency_error' } }),
      0,
    ],
    [
      'to a key of ours that is no longer right',
      [{ status: 401, error: { type: 'invalid_request_error' } }],
      0,
    ],
    [
      'to a request that Stripe does not like',
      [{ status: 400, error: { type: 'invalid_request_error' } }],
      0,
    ],
  ])(
    '%s leaves one order open, which is looked up before it is charged again',
    async (_, faults, charged) => {
      const accountId = await accountWithRecharge(stripe);
      const nowMs = Date.now();
      stripe.faults.push(...faults);
      expect(await withoutPauses(() => runRecharge(accountId, { nowMs }))).toBe('unknown');
      expect(stripe.intents).toHaveLength(charged);
      expect(await recharges(accountId)).toMatchObject([{ state: 'open' }]);
      expect(await rule(accountId)).toMatchObject({ enabled: 1, off_reason: null });
      expect(await runRecharge(accountId, { nowMs: nowMs + 1 })).toBe('in_flight');

      await withoutPauses(() => runRecharge(accountId, { nowMs: nowMs + LATER_MS }));
      const remembered = faults.some((fault) => typeof fault === 'object' && fault.kept);
      expect(stripe.intents).toHaveLength(remembered ? 0 : 1);
      expect(await recharges(accountId)).toHaveLength(1);
      expect(new Set(stripe.callsTo('POST', INTENTS).map(({ idempotencyKey }) => idempotencyKey)).size).toBe(
        1,
      );
      if (remembered) return;
      await send(SUCCEEDED, lastIntent(stripe));
      expect(await topUpEntries(accountId)).toBe(1);
      expect(await available(accountId)).toBe(usd(20));
    },
  );

  it('that was a decline is found by the look-up', async () => {
    const accountId = await accountWithRecharge(stripe, { card: { code: 'expired_card' } });
    const nowMs = Date.now();
    stripe.faults.push('lost after the work', 'reset', 'reset');
    expect(await withoutPauses(() => runRecharge(accountId, { nowMs }))).toBe('unknown');
    expect(await runRecharge(accountId, { nowMs: nowMs + LATER_MS })).toBe('declined');
    expect(await rule(accountId)).toMatchObject({ enabled: 0, off_reason: 'expired_card' });
    expect(await recharges(accountId)).toMatchObject([{ state: 'closed' }]);
    expect(stripe.callsTo('POST', INTENTS)).toHaveLength(2 + 1);
  });

  it('without a charge is given up within a day, before Stripe forgets the key', async () => {
    const accountId = await accountWithRecharge(stripe);
    const nowMs = Date.now();
    stripe.faults.push('reset', 'reset', 'reset');
    await withoutPauses(() => runRecharge(accountId, { nowMs }));
    const before = stripe.callsTo('POST', INTENTS).length;
    expect(await runRecharge(accountId, { nowMs: nowMs + 24 * HOUR_MS })).toBe('not_needed');
    expect(stripe.callsTo('POST', INTENTS)).toHaveLength(before);
    expect(await recharges(accountId)).toMatchObject([{ state: 'closed' }]);
    expect(await runRecharge(accountId, { nowMs: nowMs + 24 * HOUR_MS })).toBe('pending');
  });

  it('is never credited by a look-up, only by the event', async () => {
    const accountId = await accountWithRecharge(stripe);
    const nowMs = Date.now();
    stripe.faults.push('lost after the work', 'reset', 'reset');
    await withoutPauses(() => runRecharge(accountId, { nowMs }));
    expect(await runRecharge(accountId, { nowMs: nowMs + 30 * HOUR_MS })).toBe('in_flight');
    expect(await available(accountId)).toBe(0);
    await send(SUCCEEDED, lastIntent(stripe));
    expect(await available(accountId)).toBe(usd(20));
  });

  it('of the look-up itself changes nothing', async () => {
    const accountId = await accountWithRecharge(stripe);
    const nowMs = Date.now();
    stripe.faults.push(...thrice('reset'), ...thrice('reset'));
    await withoutPauses(() => runRecharge(accountId, { nowMs }));
    expect(await withoutPauses(() => runRecharge(accountId, { nowMs: nowMs + LATER_MS }))).toBe('unknown');
    expect(await recharges(accountId)).toMatchObject([{ state: 'open' }]);
    expect(stripe.callsTo('POST', INTENTS)).toHaveLength(3);
  });
});

/** The environment and Stripe, with a fault at the `step`-th call to either. */
function breaking(step: number, when: (typeof TIMINGS)[number]) {
  const call = breakAt(step, when);
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => call(() => stripe.fetch(url, init)));
  return brokenEnv(withStripe, call);
}

describe.each(TIMINGS)('a task that is killed %s any of its steps', (when) => {
  it('ends in one charge and one credit, or none', async () => {
    for (let step = 1; ; step++) {
      const accountId = await accountWithRecharge(stripe);
      const nowMs = Date.now();
      const charged = stripe.intents.length;
      const broken = breaking(step, when);
      // The SDK retries after a lost connection, so that step fails without an effect.
      const outcome = await runRecharge(accountId, { using: broken, nowMs }).catch(() => 'killed');
      vi.stubGlobal('fetch', stripe.fetch);
      if (outcome === 'pending' && step > 12) return;
      for (let again = 1; again <= 3; again++)
        await runRecharge(accountId, { nowMs: nowMs + again * LATER_MS });
      expect(stripe.intents.length - charged).toBe(1);
      await send(SUCCEEDED, lastIntent(stripe));
      await runRecharge(accountId, { nowMs: nowMs + HOUR_MS });
      expect(stripe.intents.length - charged).toBe(1);
      expect(await topUpEntries(accountId)).toBe(1);
      expect((await recharges(accountId)).filter(({ state }) => state === 'open')).toEqual([]);
    }
  });

  it('ends in one decline and one notice to the owner', async () => {
    for (let step = 1; ; step++) {
      const accountId = await accountWithRecharge(stripe, { card: { code: 'expired_card' } });
      const nowMs = Date.now();
      const charged = stripe.intents.length;
      const outcome = await runRecharge(accountId, { using: breaking(step, when), nowMs }).catch(
        () => 'killed',
      );
      vi.stubGlobal('fetch', stripe.fetch);
      if (outcome === 'declined' && step > 14) return;
      for (let again = 1; again <= 2; again++)
        await runRecharge(accountId, { nowMs: nowMs + again * LATER_MS });
      expect(await runRecharge(accountId, { nowMs: nowMs + HOUR_MS })).toBe('off');
      expect(stripe.intents.length - charged).toBe(1);
      expect(await notices(accountId)).toHaveLength(1);
      expect(await rule(accountId)).toMatchObject({ enabled: 0, off_reason: 'expired_card' });
    }
  });
});

describe.each(TIMINGS)('an event that is killed %s any of its steps', (when) => {
  it('ends in one credit, one notice and one invoice', async () => {
    for (let step = 1; ; step++) {
      const accountId = await accountWithRecharge(stripe);
      await runRecharge(accountId);
      const invoiced = stripe.invoices.length;
      const event = await stripeEvent(SUCCEEDED, lastIntent(stripe));
      const [status] = await deliver(event, breaking(step, when));
      vi.stubGlobal('fetch', stripe.fetch);
      if (status === 200 && step > 14) return;
      expect((await deliver(event))[0]).toBe(200);
      expect(await available(accountId)).toBe(usd(20));
      expect(await topUpEntries(accountId)).toBe(1);
      expect(await notices(accountId)).toHaveLength(1);
      expect(stripe.invoices.slice(invoiced)).toMatchObject([{ status: 'paid', total: 2_000 }]);
      expect(await recharges(accountId)).toMatchObject([{ state: 'paid' }]);
    }
  });

  it('ends in one decline', async () => {
    for (let step = 1; ; step++) {
      const accountId = await accountWithRecharge(stripe, { card: { code: 'expired_card' } });
      stripe.faults.push('lost after the work', 'reset', 'reset');
      await withoutPauses(() => runRecharge(accountId));
      const event = await stripeEvent(FAILED, lastIntent(stripe));
      const [status] = await deliver(event, breaking(step, when));
      vi.stubGlobal('fetch', stripe.fetch);
      if (status === 200) {
        expect(step).toBeGreaterThan(6);
        return;
      }
      expect((await deliver(event))[0]).toBe(200);
      expect(await notices(accountId)).toHaveLength(1);
      expect(await rule(accountId)).toMatchObject({ enabled: 0, off_reason: 'expired_card' });
      expect(await runRecharge(accountId)).toBe('off');
    }
  });
});

describe('an invoice that cannot be issued', () => {
  it('does not hold the credit back, and is retried with the next delivery', async () => {
    const accountId = await accountWithRecharge(stripe);
    await runRecharge(accountId);
    const event = await stripeEvent(SUCCEEDED, lastIntent(stripe));
    stripe.faults.push('reset', 'reset', 'reset');
    expect(await withoutPauses(() => deliver(event))).toEqual([503, 'invoice_not_written']);
    expect(await available(accountId)).toBe(usd(20));
    expect(await recharges(accountId)).toMatchObject([{ state: 'paid' }]);
    expect(await deliver(event)).toEqual([200, 'duplicate']);
    expect(stripe.invoices).toMatchObject([{ status: 'paid' }]);
  });

  it('is left to a person once Stripe may have forgotten the first attempt’s idempotency keys', async () => {
    const accountId = await accountWithRecharge(stripe);
    await runRecharge(accountId);
    const event = await stripeEvent(SUCCEEDED, lastIntent(stripe));
    stripe.faults.push('reset', 'reset', 'reset');
    await withoutPauses(() => deliver(event));
    const [order] = await recharges(accountId);
    await env.DB.prepare('update payment_order set paid_at_ms = ? where id = ?')
      .bind(Date.now() - 24 * HOUR_MS, order!.id)
      .run();
    expect(await deliver(event)).toEqual([200, 'duplicate']);
    expect(stripe.invoices).toEqual([]);
  });

  it('because the API key lacks the right is logged, and the event is accepted', async () => {
    const accountId = await accountWithRecharge(stripe);
    await runRecharge(accountId);
    stripe.faults.push({ status: 403, error: { type: 'invalid_request_error' } });
    expect(await send(SUCCEEDED, lastIntent(stripe))).toEqual([200, 'credited']);
    expect(stripe.invoices).toEqual([]);
    expect(await available(accountId)).toBe(usd(20));
  });
});
