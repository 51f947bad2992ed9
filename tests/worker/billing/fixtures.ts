/** Accounts and orders, and events as a provider or a forger would send them. */
import { env as bindings } from 'cloudflare:workers';
import { billing } from '../../../worker/billing/index.ts';
import { signedSandboxEvent } from '../../../worker/billing/sandbox/events.ts';
import { beginTopUp } from '../../../worker/billing/top-up.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { usd } from '../../../worker/domain/money.ts';
import { config, type Env } from '../../../worker/env.ts';

export const env = bindings as unknown as Env;

export async function newAccount(): Promise<string> {
  const id = newId('acct', Date.now());
  await env.DB.prepare('insert into account (id, name, created_at_ms) values (?, ?, ?)')
    .bind(id, 'Test', Date.now())
    .run();
  return id;
}

/** A top-up of $20 that was begun. */
export async function newOrder(accountId: string, dollars = 20): Promise<string> {
  const result = await beginTopUp(env, { accountId, amountNanoUsd: usd(dollars), nowMs: Date.now() });
  if (!result.ok) throw new Error(result.reason);
  return result.redirectUrl.split('/').at(-1)!;
}

export interface Payment {
  readonly orderId: string;
  readonly orderKind?: 'checkout' | 'recharge';
  readonly amountCents?: number;
  readonly currency?: string;
  readonly decision?: 'paid' | 'declined';
}

export interface SignedDelivery {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A correctly signed event, of $20 paid unless `payment` says otherwise. */
export function signedEvent(
  payment: Payment,
  { secret, atMs = Date.now() }: { secret?: string; atMs?: number } = {},
): Promise<SignedDelivery> {
  const settings = config(env);
  const { orderId, orderKind = 'checkout', amountCents = 2_000, currency = 'USD', decision } = payment;
  const amount = { order_id: orderId, order_kind: orderKind, amount_cents: amountCents, currency };
  const event =
    decision === 'declined'
      ? ({ type: 'payment.declined', data: { ...amount, reason: 'card_declined' } } as const)
      : ({ type: 'payment.paid', data: amount } as const);
  return signedSandboxEvent({ sandboxWebhookSecret: secret ?? settings.sandboxWebhookSecret }, event, atMs);
}

/** Delivers an event. @returns the status, and the result or the error code */
export async function deliver(
  { headers, body }: { headers: Record<string, string>; body: BodyInit },
  { using = env, path = '/webhooks/sandbox' }: { using?: Env; path?: string } = {},
): Promise<[number, string]> {
  const response = await billing.request(path, { method: 'POST', headers, body }, using);
  if (response.status >= 500) return [response.status, 'broken'];
  const answer = await response.json<{ result?: string; error?: { code: string } }>();
  return [response.status, answer.result ?? answer.error!.code];
}

export async function paidBalance(accountId: string): Promise<number> {
  return (await env.WALLET.getByName(accountId).balance()).paidNanoUsd;
}

export async function topUpEntries(accountId: string): Promise<number> {
  const { entries } = await env.WALLET.getByName(accountId).ledger({ limit: 100 });
  return entries.filter((entry) => entry.kind === 'top_up').length;
}

export async function orderState(orderId: string): Promise<string | null> {
  return env.DB.prepare('select state from payment_order where id = ?').bind(orderId).first('state');
}
