/**
 * Applies a declined recharge: the account gets a notice, the order is closed, recharge is turned off, and the Wallet
 * stops asking for recharges.
 */
import { database } from '../../db/client.ts';
import type { EventRow, PaymentOrder } from '../../db/payments.ts';
import { declineRecharge } from '../../db/recharges.ts';
import type { DeclineReason } from '../../domain/decline-reasons.ts';
import { nanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { raiseNotice } from '../../notifications/raise.ts';
import { syncRechargeThreshold } from './threshold.ts';

/**
 * The provider's response and its event both lead here, in any order and repeatedly: the notice's id comes from the
 * order, and only an open order is closed. The notice comes first, because after the order is closed nothing would
 * retry it.
 * @param request.event stored together with the decline; null: the provider's response declined it
 */
export async function applyDecline(
  env: Env,
  request: { order: PaymentOrder; why: DeclineReason; event: EventRow | null; nowMs: number },
): Promise<void> {
  const { order, why, event, nowMs } = request;
  if (order.state === 'open') {
    const amountNanoUsd = nanoUsd(order.amountNanoUsd);
    await raiseNotice(env, {
      accountId: order.accountId,
      cause: `${order.id}/declined`,
      notice: { kind: 'recharge.declined', orderId: order.id, amountNanoUsd, why },
      nowMs,
    });
  }
  await declineRecharge(database(env), order, { why, event, nowMs });
  await syncRechargeThreshold(env, order.accountId);
}
