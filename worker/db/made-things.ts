/**
 * Keys and webhook endpoints that a member made, and what becomes of them when the member loses the right to make them:
 * the keys' secrets stay known to that person, and the endpoints stay theirs.
 */
import { and, desc, eq, getTableColumns, isNull, not, notExists, type SQL, sql } from 'drizzle-orm';
import { isRoleAllowed, type MemberRole } from '../domain/team.ts';
import type { Database } from './client.ts';
import { type ApiKeyRow, type Fate, isActiveKey, SHOWN_KEY } from './keys.ts';
import { apiKey, invitation, usageHour, webhookEndpoint } from './schema.ts';
import { memberMay } from './standing.ts';
import type { WebhookEndpointRow } from './webhook-endpoints.ts';

export interface Maker {
  readonly accountId: string;
  readonly personId: string;
}

/** The choices for what a person made: keys that end are revoked, endpoints that end are removed. */
export const FATES = ['keep', 'end'] as const satisfies readonly Fate[];

/** The latest hour in which a key was used, with one of the models that it used then. */
export interface LastUse {
  readonly keyId: string;
  readonly hourMs: number;
  readonly modelId: string;
  readonly requests: number;
  readonly chargeNanoUsd: number;
}

export interface MadeThings {
  /** Active keys, newest first. Those that the person's management keys made are among them. */
  readonly keys: readonly ApiKeyRow[];
  readonly lastUses: ReadonlyMap<string, LastUse>;
  readonly endpoints: readonly WebhookEndpointRow[];
}

/** The keys that the person made or took over, by hand or by a management key. */
function keysOf({ accountId, personId }: Maker, nowMs: number): SQL {
  const byManager = sql`(${apiKey.keptBy} is null and ${apiKey.createdBy} in (select k.id from ${apiKey} as k
    where k.account_id = ${accountId} and k.scope = 'management' and coalesce(k.kept_by, k.created_by) = ${personId}))`;
  const isTheirs = sql`(coalesce(${apiKey.keptBy}, ${apiKey.createdBy}) = ${personId} or ${byManager})`;
  return and(eq(apiKey.accountId, accountId), isActiveKey(nowMs), isTheirs)!;
}

function endpointsOf({ accountId, personId }: Maker): SQL {
  return and(
    eq(webhookEndpoint.accountId, accountId),
    isNull(webhookEndpoint.removedAtMs),
    sql`coalesce(${webhookEndpoint.keptBy}, ${webhookEndpoint.createdBy}) = ${personId}`,
  )!;
}

/**
 * Lists what the member made and would lose with the role.
 * @param role the role that the member is to have; null: none, the member leaves
 */
export async function listMadeThings(
  db: Database,
  maker: Maker,
  { role, nowMs }: { role: MemberRole | null; nowMs: number },
): Promise<MadeThings> {
  const [keys, endpoints] = await Promise.all([
    loses(role, 'keys')
      ? db
          .select(SHOWN_KEY)
          .from(apiKey)
          .where(keysOf(maker, nowMs))
          .orderBy(desc(apiKey.createdAtMs), desc(apiKey.id))
      : [],
    loses(role, 'alerts') ? db.select().from(webhookEndpoint).where(endpointsOf(maker)) : [],
  ]);
  return { keys, endpoints, lastUses: await lastUsesOf(db, maker.accountId, keys) };
}

async function lastUsesOf(db: Database, accountId: string, keys: readonly ApiKeyRow[]) {
  if (keys.length === 0) return new Map<string, LastUse>();
  const { keyId, modelId, requests, chargeNanoUsd } = getTableColumns(usageHour);
  const rows = await db
    // SQLite takes the other columns from the row of the maximum.
    .select({ keyId, modelId, requests, chargeNanoUsd, hourMs: sql<number>`max(${usageHour.hourMs})` })
    .from(usageHour)
    .where(
      and(
        eq(usageHour.accountId, accountId),
        sql`${keyId} in (select value from json_each(${JSON.stringify(keys.map(({ id }) => id))}))`,
      ),
    )
    .groupBy(keyId);
  return new Map(rows.map((row) => [row.keyId, row]));
}

function loses(role: MemberRole | null, area: 'keys' | 'alerts'): boolean {
  return role === null || !isRoleAllowed(role, 'write', area);
}

/** True when there is nothing to decide for a member who is to have that role: they made nothing that they would lose. */
export function nothingMade(db: Database, maker: Maker, role: MemberRole | null, nowMs: number): SQL {
  const one = { one: sql`1` };
  const noKeys = notExists(db.select(one).from(apiKey).where(keysOf(maker, nowMs)));
  const noEndpoints = notExists(db.select(one).from(webhookEndpoint).where(endpointsOf(maker)));
  return and(
    loses(role, 'keys') ? noKeys : undefined,
    loses(role, 'alerts') ? noEndpoints : undefined,
    sql`true`,
  )!;
}

/**
 * Statements for the batch that changes a member's role or removes the member: they end what the member has no right to
 * any more. Where that change was refused they change nothing.
 * @param change.fate null: nothing was made that needs one
 * @param change.keeper the person in whose name things are kept
 */
export function endLostStanding(
  db: Database,
  change: Maker & { fate: Fate | null; keeper: string; nowMs: number },
) {
  const { fate, keeper, nowMs, ...maker } = change;
  const lost = (area: 'keys' | 'alerts' | 'team') => not(memberMay(maker, 'write', area));
  const invitations = db
    .update(invitation)
    .set({ revokedAtMs: nowMs })
    .where(
      and(
        eq(invitation.accountId, maker.accountId),
        eq(invitation.invitedBy, maker.personId),
        isNull(invitation.acceptedAtMs),
        isNull(invitation.revokedAtMs),
        lost('team'),
      ),
    );
  if (fate === null) return [invitations] as const;
  return [
    invitations,
    db
      .update(apiKey)
      .set(fate === 'keep' ? { keptBy: keeper } : { revokedAtMs: nowMs })
      .where(and(keysOf(maker, nowMs), lost('keys'))),
    db
      .update(webhookEndpoint)
      .set(fate === 'keep' ? { keptBy: keeper } : { removedAtMs: nowMs })
      .where(and(endpointsOf(maker), lost('alerts'))),
  ] as const;
}
