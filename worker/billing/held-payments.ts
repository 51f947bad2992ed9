/** An operator's decision about money that could not be matched with its order: credit it, take it back, or leave it. */
import type { AuditEntry } from '../db/audit.ts';
import { database } from '../db/client.ts';
import { closeHeld, findHeld, type HeldKey } from '../db/held-payments.ts';
import { findOrder } from '../db/payments.ts';
import { formatUsd, type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { Env } from '../env.ts';
import { creditOrder, followPayment } from './paid.ts';
import { providerNamed } from './providers.ts';
import { applyReversal } from './reversal.ts';

/**
 * `credit`: the payment counts as the order's; `take`: this much of the order's credit was taken back; `leave`: nothing
 * happens to the account.
 */
export type HeldDecision =
  | { readonly kind: 'credit' }
  | { readonly kind: 'take'; readonly amountNanoUsd: NanoUsd }
  | { readonly kind: 'leave' };

export type DecideResult =
  | { ok: true }
  | { ok: false; reason: 'not_found' | 'not_fitting' | 'amount_out_of_bounds' };

/**
 * Acts first and stores the decision then: what it does happens once for its order, so a decision that breaks off can be
 * made again.
 */
export async function decideHeld(
  env: Env,
  command: { key: HeldKey; decision: HeldDecision; note: string; actor: string; nowMs: number },
): Promise<DecideResult> {
  const { key, decision, note, actor, nowMs } = command;
  const db = database(env);
  const held = await findHeld(db, key);
  const order = await findOrder(db, key.orderId);
  if (held === null || order === null) return { ok: false, reason: 'not_found' };
  const provider = providerNamed(env, order.provider);
  switch (decision.kind) {
    case 'credit': {
      if (held.kind !== 'paid' || provider === null) return { ok: false, reason: 'not_fitting' };
      const event = {
        provider: order.provider,
        eventId: `decided/${order.id}`,
        orderId: order.id,
        receivedAtMs: nowMs,
      };
      await creditOrder(env, order, { event, taxNanoUsd: nanoUsd(0) });
      await followPayment(env, provider, { order, charge: null, nowMs }, 'credited');
      break;
    }
    case 'take': {
      const { amountNanoUsd } = decision;
      if (held.kind !== 'reversed' || order.state !== 'paid') return { ok: false, reason: 'not_fitting' };
      if (amountNanoUsd <= 0 || amountNanoUsd > order.amountNanoUsd)
        return { ok: false, reason: 'amount_out_of_bounds' };
      const reversal = { source: held.source, amountNanoUsd, returned: false };
      await applyReversal(env, db, { reversal, order, nowMs });
      break;
    }
    case 'leave':
      break;
  }
  const amount: AuditEntry['detail'] =
    decision.kind === 'take' ? { amount_usd: formatUsd(decision.amountNanoUsd) } : {};
  await closeHeld(db, key, {
    nowMs,
    actor,
    note,
    detail: { decision: decision.kind, source: held.source, ...amount },
  });
  return { ok: true };
}
