import { expect, it } from 'vitest';
import { type PaymentFacts, shownPaymentState } from '../../worker/domain/payment-state.ts';

const DAY_MS = 24 * 3_600_000;
const checkout: PaymentFacts = { kind: 'checkout', state: 'open', declinedAtMs: null, createdAtMs: 0 };

it.each<[string, Partial<PaymentFacts>, number]>([
  ['open', {}, DAY_MS],
  ['closed', {}, DAY_MS + 1],
  ['declined', { declinedAtMs: 5 }, 5],
  ['declined', { declinedAtMs: 5 }, 11 * DAY_MS],
  ['paid', { declinedAtMs: 5, state: 'paid' }, 5],
  ['closed', { declinedAtMs: 5, state: 'closed' }, 5],
  ['open', { kind: 'recharge' }, 2 * DAY_MS],
])('a payment is shown as %s: %j after %i ms', (shown, change, nowMs) => {
  expect(shownPaymentState({ ...checkout, ...change }, nowMs)).toBe(shown);
});
