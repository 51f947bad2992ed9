/** Tokens of the operator API: made once, found by their hash, listed and revoked. */
import { and, count, desc, eq, gt, inArray, isNull, lt, ne, or, sql } from 'drizzle-orm';
import type { OperatorScope } from '../domain/operator-scopes.ts';
import { addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { operatorToken, person } from './schema.ts';

export type OperatorTokenRow = Omit<typeof operatorToken.$inferSelect, 'scopes'> & {
  readonly scopes: readonly OperatorScope[];
};

/** Actor of what the deploy-time token does. */
export const DEPLOY_TOKEN_ACTOR = 'operator-token';

const isLive = (nowMs: number) =>
  and(isNull(operatorToken.revokedAtMs), gt(operatorToken.expiresAtMs, nowMs));

/** @returns false: the name is taken (also by a revoked token: the trail names it), or `max` tokens are live */
export async function insertOperatorToken(
  db: Database,
  { row, max }: { row: Omit<OperatorTokenRow, 'revokedAtMs' | 'lastUsedAtMs'>; max: number },
): Promise<boolean> {
  const { id, name, hash, pepperId, lastFour, scopes, createdBy, createdAtMs, expiresAtMs } = row;
  const [inserted] = await db.batch([
    db
      .insert(operatorToken)
      .select(
        // the table's columns in their order
        sql`select ${id}, ${name}, ${hash}, ${pepperId}, ${lastFour}, ${JSON.stringify(scopes)}, ${createdBy},
          ${createdAtMs}, ${expiresAtMs}, null, null
          where not exists (select 1 from ${operatorToken} where ${operatorToken.name} = ${name})
            and (select count(*) from ${operatorToken} where ${isLive(createdAtMs)}) < ${max}`,
      )
      .returning({ id: operatorToken.id }),
    addAuditIfChanged(db, {
      atMs: createdAtMs,
      actor: createdBy,
      action: 'operator_token.created',
      subject: id,
      detail: { name, scopes: scopes.join(' '), expires_at_ms: expiresAtMs },
    }),
  ]);
  return inserted.length === 1;
}

/** Every token, the newest first. */
export async function listOperatorTokens(db: Database): Promise<OperatorTokenRow[]> {
  const rows = await db.select().from(operatorToken).orderBy(desc(operatorToken.createdAtMs)).limit(1_000);
  return rows as OperatorTokenRow[];
}

/**
 * Finds a live token by its hash. A token that a person made lives while that person is an operator with a second factor:
 * the right is theirs, and it is checked when it is used.
 */
export async function findOperatorToken(
  db: Database,
  { hashes, nowMs }: { hashes: readonly string[]; nowMs: number },
): Promise<OperatorTokenRow | null> {
  const row = await db
    .select({ token: operatorToken })
    .from(operatorToken)
    .leftJoin(person, eq(person.id, operatorToken.createdBy))
    .where(
      and(
        inArray(operatorToken.hash, [...hashes]),
        isLive(nowMs),
        or(
          eq(operatorToken.createdBy, DEPLOY_TOKEN_ACTOR),
          and(eq(person.role, 'operator'), eq(person.twoFactorEnabled, true)),
        ),
      ),
    )
    .get();
  return (row?.token as OperatorTokenRow | undefined) ?? null;
}

/** Notes the use, at most once a minute, and keeps the hash under the pepper in use. */
export async function noteOperatorTokenUse(
  db: Database,
  { id, hash, pepperId, nowMs }: { id: string; hash: string; pepperId: string; nowMs: number },
): Promise<void> {
  const isDue = or(
    isNull(operatorToken.lastUsedAtMs),
    lt(operatorToken.lastUsedAtMs, nowMs - 60_000),
    ne(operatorToken.hash, hash),
  );
  await db
    .update(operatorToken)
    .set({ lastUsedAtMs: nowMs, hash, pepperId })
    .where(and(eq(operatorToken.id, id), isDue));
}

/** Counts live tokens whose hash is not under this pepper. */
export async function countOperatorTokensNotUnder(
  db: Database,
  { pepperId, nowMs }: { pepperId: string; nowMs: number },
): Promise<number> {
  const [row] = await db
    .select({ n: count() })
    .from(operatorToken)
    .where(and(isLive(nowMs), ne(operatorToken.pepperId, pepperId)));
  return row?.n ?? 0;
}

/** @returns false: there is no such token that is not yet revoked */
export async function revokeOperatorToken(
  db: Database,
  { id, actor, nowMs }: { id: string; actor: string; nowMs: number },
): Promise<boolean> {
  const [revoked] = await db.batch([
    db
      .update(operatorToken)
      .set({ revokedAtMs: nowMs })
      .where(and(eq(operatorToken.id, id), isNull(operatorToken.revokedAtMs))),
    addAuditIfChanged(db, { atMs: nowMs, actor, action: 'operator_token.revoked', subject: id, detail: {} }),
  ]);
  return revoked.meta.changes === 1;
}
