/** The operator's view of customers: accounts with problems, and one account's people, spend and failed webhooks. */
import { and, asc, desc, eq, isNull, sql } from 'drizzle-orm';
import { firstIdAt } from '../domain/ids.ts';
import type { Database } from './client.ts';
import type { DriftRow } from './drift.ts';
import { drift, member, noticeDelivery, person, webhookEndpoint } from './schema.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Deliveries that failed longer ago than a week are no longer shown. */
export const FAILED_SINCE_MS = 7 * DAY_MS;
/** Open findings read to group them by account: bounds the query when there are very many. */
const FINDINGS_MAX = 1_000;

export interface Anomaly {
  readonly accountId: string;
  /** Open findings of the reconciliation. */
  readonly findings: number;
  /** Webhooks that were given up within FAILED_SINCE_MS. */
  readonly failedWebhooks: number;
  /**
   * The amount that the account could not cover when refunds and disputes were debited. Its Wallet knows how much of
   * it is still owed.
   */
  readonly uncollectedNanoUsd: number;
}

/** Lists accounts that need attention, the worst first. */
export function listAnomalies(db: Database, { nowMs, limit }: { nowMs: number; limit: number }) {
  // Ids begin with their creation time, so the primary key alone finds the deliveries since an instant.
  const firstId = firstIdAt('dlv', nowMs - FAILED_SINCE_MS);
  return db.all<Anomaly>(sql`
    select account_id as accountId, sum(finding) as findings, sum(failed) as failedWebhooks, sum(uncollected) as uncollectedNanoUsd
    from (
      select account_id, 1 as finding, 0 as failed, 0 as uncollected
      from (select account_id from drift where resolved_at_ms is null limit ${FINDINGS_MAX})
      union all
      select account_id, 0, 1, 0 from notice_delivery
      where id >= ${firstId} and channel = 'webhook' and state = 'failed'
      union all
      select o.account_id, 0, 0, c.uncollected_nano_usd from payment_correction as c
      join payment_order as o on o.id = c.order_id where c.uncollected_nano_usd <> 0
    )
    group by account_id having findings + failedWebhooks > 0 or uncollectedNanoUsd > 0
    order by findings desc, failedWebhooks desc, uncollectedNanoUsd desc, account_id desc limit ${limit}`);
}

export interface Member {
  readonly personId: string;
  readonly email: string;
  readonly name: string;
  readonly role: string;
  readonly twoFactor: boolean;
}

export function listTeam(db: Database, accountId: string): Promise<Member[]> {
  return db
    .select({
      personId: person.id,
      email: person.email,
      name: person.name,
      role: member.role,
      twoFactor: person.twoFactorEnabled,
    })
    .from(member)
    .innerJoin(person, eq(person.id, member.personId))
    .where(eq(member.accountId, accountId))
    .orderBy(asc(person.email));
}

/** In nano-USD, by the hour in which requests were admitted. */
export interface Spend {
  readonly dayNanoUsd: number;
  readonly weekNanoUsd: number;
}

export async function spendOf(db: Database, accountId: string, nowMs: number): Promise<Spend> {
  const hourMs = nowMs - (nowMs % HOUR_MS);
  const row = await db.get<Spend>(sql`
    select coalesce(sum(charge_nano_usd) filter (where hour_ms > ${hourMs - DAY_MS}), 0) as dayNanoUsd,
      coalesce(sum(charge_nano_usd), 0) as weekNanoUsd
    from usage_hour where account_id = ${accountId} and hour_ms > ${hourMs - 7 * DAY_MS}`);
  return row;
}

/** Lists the account's open findings, the oldest first. */
export function listAccountDrift(db: Database, accountId: string, limit: number): Promise<DriftRow[]> {
  return db
    .select()
    .from(drift)
    .where(and(eq(drift.accountId, accountId), isNull(drift.resolvedAtMs)))
    .orderBy(asc(drift.foundAtMs))
    .limit(limit);
}

/** Counts of what the ledger, the payment provider and the receipts of an account have not agreed on yet. */
export interface Disagreement {
  /** Orders paid at the provider that are not a ledger entry in D1 yet. */
  readonly uncredited: number;
  /** Reversals by the provider that the Wallet has not applied yet. */
  readonly uncorrected: number;
  /** Billed requests whose receipt has not arrived, and whose absence is not a finding yet. */
  readonly awaitingReceipt: number;
}

export function disagreementOf(db: Database, accountId: string): Promise<Disagreement> {
  // `kind <> 'charge'` follows from the term before it, but SQLite uses an index of some rows only where its condition
  // stands word for word.
  return db.get<Disagreement>(sql`
    select
      (select count(*) from payment_order as o where o.account_id = ${accountId} and o.state = 'paid'
        and not exists (select 1 from ledger_entry as e
          where e.account_id = o.account_id and e.kind = 'top_up' and e.reference = o.id
            and e.kind <> 'charge')) as uncredited,
      (select count(*) from payment_order as o join payment_correction as c on c.order_id = o.id
        where o.account_id = ${accountId} and c.uncollected_nano_usd is null) as uncorrected,
      coalesce((select max(0, billed_requests - witnessed_requests - missed_requests) from projection
        where account_id = ${accountId}), 0) as awaitingReceipt`);
}

export interface FailedWebhook {
  readonly id: string;
  readonly url: string | null;
  readonly attempts: number;
  readonly lastAtMs: number | null;
  readonly lastStatus: number | null;
  readonly lastFault: string | null;
}

/** Lists webhooks that were given up, the newest first. */
export function listFailedWebhooks(
  db: Database,
  { accountId, limit }: { accountId: string; limit: number },
): Promise<FailedWebhook[]> {
  return db
    .select({
      id: noticeDelivery.id,
      url: webhookEndpoint.url,
      attempts: noticeDelivery.attempts,
      lastAtMs: noticeDelivery.lastAtMs,
      lastStatus: noticeDelivery.lastStatus,
      lastFault: noticeDelivery.lastFault,
    })
    .from(noticeDelivery)
    .leftJoin(webhookEndpoint, eq(webhookEndpoint.id, noticeDelivery.target))
    .where(
      and(
        eq(noticeDelivery.accountId, accountId),
        eq(noticeDelivery.channel, 'webhook'),
        eq(noticeDelivery.state, 'failed'),
      ),
    )
    .orderBy(desc(noticeDelivery.id))
    .limit(limit);
}
