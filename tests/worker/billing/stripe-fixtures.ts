/** An edge configured with Stripe, its webhook, and readers of an account's balance and ledger. */
import { billing } from '../../../worker/billing/index.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import type { Env } from '../../../worker/env.ts';
import { env } from './fixtures.ts';
import { API_KEY } from './stripe-fake.ts';
import { type SignedEvent, stripeEvent, WEBHOOK_SECRET } from './stripe-signed.ts';

export const withStripe = { ...env, STRIPE_SECRET_KEY: API_KEY, STRIPE_WEBHOOK_SECRET: WEBHOOK_SECRET };

/** Delivers an event. @returns the status, and the result or the error code */
export async function deliver(
  { headers, body }: SignedEvent,
  using: Env = withStripe,
): Promise<[number, string]> {
  const response = await billing.request('/webhooks/stripe', { method: 'POST', headers, body }, using);
  if (response.status === 500) return [500, 'broken'];
  const answer = await response.json<{ result?: string; error?: { code: string } }>();
  return [response.status, answer.result ?? answer.error!.code];
}

export async function send(type: string, object: unknown): Promise<[number, string]> {
  return deliver(await stripeEvent(type, object));
}

export async function available(accountId: string): Promise<number> {
  return (await env.WALLET.getByName(accountId).balance()).availableNanoUsd;
}

/** Stands for usage: takes an amount from the account. */
export async function spend(accountId: string, dollars: number): Promise<void> {
  const usage = { reference: newId('req', Date.now()), amountNanoUsd: nanoUsd(0 - usd(dollars)) };
  await env.WALLET.getByName(accountId).correct(usage);
}

/** The ledger's corrections for an order's reversals, in dollars, oldest first. */
export async function corrections(accountId: string, orderId: string): Promise<number[]> {
  const { entries } = await env.WALLET.getByName(accountId).ledger({ limit: 100 });
  return entries
    .filter(({ kind, reference }) => kind === 'correction' && reference.startsWith(`${orderId}/`))
    .map(({ grantedNanoUsd, paidNanoUsd }) => (grantedNanoUsd + paidNanoUsd) / usd(1))
    .reverse();
}
