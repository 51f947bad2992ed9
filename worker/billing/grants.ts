/** Free credit that an operator gives to an account, once per grant id. */
import * as z from 'zod';
import { addAudit } from '../db/audit.ts';
import { database } from '../db/client.ts';
import { findExistingAccounts } from '../db/existing-accounts.ts';
import { operatorGrantId } from '../domain/grant-id.ts';
import { isId } from '../domain/ids.ts';
import { formatUsd, usd } from '../domain/money.ts';
import type { Env } from '../env.ts';
import { NameText } from '../http/fields.ts';
import { DecimalText, usdDecimal } from '../http/usd-text.ts';

/** A typing error should not give away more than this at once. */
export const GRANT_MAX = usd(10_000);

/** An operator's amount in US dollars, above 0 and at most GRANT_MAX, as nano-USD. */
export const UsdAmount = DecimalText.pipe(
  usdDecimal(5).refine(
    (value) => value > 0 && value <= GRANT_MAX,
    `must be greater than 0 and at most ${formatUsd(GRANT_MAX)}`,
  ),
);

export const GrantRequest = z.object({
  /** Identifies the grant: the same one twice is one grant. */
  grant_id: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes or underscores'),
  amount_usd: UsdAmount,
  /** The reason, for the audit trail. */
  note: NameText(200).optional(),
});

export type GrantResult =
  | { ok: true; granted: { grant_id: string; amount_usd: string; balance_usd: string; entry_seq: number } }
  | { ok: false; reason: 'account_not_found' | 'grant_id_taken' };

/** Grants credit. Repeating a grant id with the same amount returns the first entry; with another it is refused. */
export async function grantCredit(
  env: Env,
  order: { accountId: string; grant: z.infer<typeof GrantRequest>; actor: string; nowMs: number },
): Promise<GrantResult> {
  const { accountId, grant, actor, nowMs } = order;
  const db = database(env);
  if (!isId('acct', accountId) || (await findExistingAccounts(db, [accountId])).length === 0) {
    return { ok: false, reason: 'account_not_found' };
  }
  const amountNanoUsd = grant.amount_usd;
  // The audit row comes before the grant, so that an attempt which breaks off half-way is still on record.
  await addAudit(db, {
    atMs: nowMs,
    actor,
    action: 'account.granted',
    subject: accountId,
    detail: {
      grant: grant.grant_id,
      amount_usd: formatUsd(amountNanoUsd),
      ...(grant.note && { note: grant.note }),
    },
    accountId,
  });
  const entry = await env.WALLET.getByName(accountId).grant({
    grantId: operatorGrantId(grant.grant_id),
    amountNanoUsd,
  });
  if (entry.grantedNanoUsd !== amountNanoUsd) return { ok: false, reason: 'grant_id_taken' };
  return {
    ok: true,
    granted: {
      grant_id: grant.grant_id,
      amount_usd: formatUsd(amountNanoUsd),
      balance_usd: formatUsd(entry.balanceNanoUsd),
      entry_seq: entry.seq,
    },
  };
}
