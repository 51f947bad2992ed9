/**
 * Standing: what a person or a management key may do in an account at this moment, as conditions for the statement that
 * makes use of it. Between such a check and its use nothing can come.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type AccessMode, type Area, rolesAllowed } from '../domain/team.ts';
import type { Database } from './client.ts';
import { account, apiKey, member, personSession } from './schema.ts';

/** True while the account is neither closed nor suspended. */
export function accountIsActive(accountId: string | SQL): SQL {
  return sql`exists (select 1 from ${account} as a where a.id = ${accountId} and a.closed_at_ms is null
    and a.suspended_at_ms is null)`;
}

/** True while the person is a member with a role that has this access to the area. */
export function memberMay(
  { accountId, personId }: { accountId: string | SQL; personId: string | SQL },
  mode: AccessMode,
  area: Area,
): SQL {
  const roles = JSON.stringify(rolesAllowed(mode, area));
  return sql`exists (select 1 from ${member} as m where m.account_id = ${accountId} and m.person_id = ${personId}
    and m.role in (select value from json_each(${roles})))`;
}

/** True while the session has neither ended nor expired. */
export function sessionIsLive(which: { personId: string; sessionId: string }, nowMs: number): SQL {
  return sql`exists (select 1 from ${personSession} as s where s.id = ${which.sessionId}
    and s.person_id = ${which.personId} and s.expires_at > ${nowMs})`;
}

/** True while the actor, a person or a management key of the account, may make and change keys. */
export function mayManageKeys(who: { accountId: string; actor: string; nowMs: number }): SQL {
  const { accountId, actor, nowMs } = who;
  const isManager = sql`exists (select 1 from ${apiKey} as k where k.id = ${actor} and k.account_id = ${accountId}
    and k.scope = 'management' and k.revoked_at_ms is null and (k.expires_at_ms is null or k.expires_at_ms > ${nowMs}))`;
  return sql`(${accountIsActive(accountId)} and (${memberMay({ accountId, personId: actor }, 'write', 'keys')} or ${isManager}))`;
}

/** Whether the person may still read the area in this session: it is live, the role allows it, the account is open. */
export async function mayStillRead(
  db: Database,
  who: { accountId: string; personId: string; sessionId: string; area: Area; nowMs: number },
): Promise<boolean> {
  const { accountId, area, nowMs } = who;
  const isOpen = sql`exists (select 1 from ${account} as a where a.id = ${accountId} and a.closed_at_ms is null)`;
  const may = sql`(${memberMay(who, 'read', area)} and ${sessionIsLive(who, nowMs)} and ${isOpen})`;
  return (await db.get<{ may: number }>(sql`select ${may} as may`)).may === 1;
}
