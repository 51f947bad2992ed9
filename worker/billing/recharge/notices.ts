/**
 * Notices about recharges, except declines (decline.ts). A notice's `cause` names its subject, so each is raised
 * once.
 */

import type { PaymentOrder } from '../../db/payments.ts';
import { monthStartMs } from '../../db/recharges.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { raiseNotice } from '../../notifications/raise.ts';

export async function raisePaidNotice(
  env: Env,
  { accountId, id: orderId, amountNanoUsd }: PaymentOrder,
  nowMs: number,
): Promise<void> {
  const notice = { kind: 'recharge.paid', orderId, amountNanoUsd: nanoUsd(amountNanoUsd) } as const;
  await raiseNotice(env, { accountId, cause: `${orderId}/paid`, notice, nowMs });
}

/** Raised once a month, however often the balance falls below the level. */
export async function raiseMonthlyMaxNotice(
  env: Env,
  maximum: { accountId: string; rechargedNanoUsd: NanoUsd; monthlyMaxNanoUsd: NanoUsd; nowMs: number },
): Promise<void> {
  const { accountId, nowMs, ...sums } = maximum;
  const month = new Date(monthStartMs(nowMs)).toISOString().slice(0, 'yyyy-mm'.length);
  const notice = { kind: 'recharge.monthly_max', ...sums } as const;
  await raiseNotice(env, { accountId, cause: `monthly_max/${month}`, notice, nowMs });
}
