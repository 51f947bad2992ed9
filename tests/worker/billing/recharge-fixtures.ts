/** Accounts with a card saved at Stripe and a recharge rule, and readers of what came of it. */

import { beginCardSetup } from '../../../worker/billing/card.ts';
import { recharge } from '../../../worker/billing/recharge/recharge.ts';
import { setAutoRecharge } from '../../../worker/billing/recharge/rule.ts';
import { usd } from '../../../worker/domain/money.ts';
import type { Env } from '../../../worker/env.ts';
import { env, newAccount } from './fixtures.ts';
import type { FakeStripe } from './stripe-fake.ts';
import { send, withStripe } from './stripe-fixtures.ts';
import type { CardBehaviour, StripeObject } from './stripe-state.ts';

export const SUCCEEDED = 'payment_intent.succeeded';
export const FAILED = 'payment_intent.payment_failed';
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

export interface RuleUsd {
  readonly below: number;
  readonly amount: number;
  readonly monthlyMax: number;
}

/** An account with a saved card; recharge is off. */
export async function accountWithCard(
  stripe: FakeStripe,
  behaviour: CardBehaviour = 'works',
): Promise<string> {
  const accountId = await newAccount();
  const begun = await beginCardSetup(withStripe, { accountId, nowMs: Date.now() });
  if (!begun.ok) throw new Error(begun.reason);
  const [status] = await send('checkout.session.completed', stripe.saveCard(behaviour));
  if (status !== 200) throw new Error(`the card was not saved: ${status}`);
  return accountId;
}

/** An account with an empty balance that recharges $20 below $10, at most $100 in a month. */
export async function accountWithRecharge(
  stripe: FakeStripe,
  { card = 'works', ...rule }: Partial<RuleUsd> & { card?: CardBehaviour } = {},
): Promise<string> {
  const accountId = await accountWithCard(stripe, card);
  await turnOn(accountId, rule);
  return accountId;
}

export async function turnOn(accountId: string, rule: Partial<RuleUsd> = {}) {
  const { below = 10, amount = 20, monthlyMax = 100 } = rule;
  const nanos = { belowNanoUsd: usd(below), amountNanoUsd: usd(amount), monthlyMaxNanoUsd: usd(monthlyMax) };
  const result = await setAutoRecharge(withStripe, { accountId, rule: nanos, nowMs: Date.now() });
  if (!result.ok) throw new Error(result.reason);
}

/** Runs one recharge task of the queue. */
export async function runRecharge(accountId: string, { using = withStripe as Env, nowMs = Date.now() } = {}) {
  return (await recharge(using, { accountId, nowMs })).outcome;
}

/** The newest charge at Stripe. */
export function lastIntent(stripe: FakeStripe): StripeObject {
  return stripe.intents.at(-1)!;
}

export interface RechargeRow {
  readonly id: string;
  readonly state: string;
  readonly amount_nano_usd: number;
  readonly invoice_url: string | null;
}

export async function recharges(accountId: string): Promise<RechargeRow[]> {
  const { results } = await env.DB.prepare(
    "select * from payment_order where account_id = ? and kind = 'recharge' order by id",
  )
    .bind(accountId)
    .all<RechargeRow>();
  return results;
}

export async function rule(accountId: string) {
  return (await env.DB.prepare('select * from auto_recharge where account_id = ?').bind(accountId).first())!;
}

/** Kinds and facts of the account's notices about recharge. */
export async function notices(accountId: string): Promise<Record<string, unknown>[]> {
  const { results } = await env.DB.prepare(
    "select facts from notice where account_id = ? and kind like 'recharge.%' order by at_ms",
  )
    .bind(accountId)
    .all<{ facts: string }>();
  return results.map(({ facts }) => JSON.parse(facts));
}
