/**
 * The account of a person: opened at sign-up, and completed on the next page if sign-up was cut short. Its id is
 * derived from the person's id, so that two concurrent openings, or a repeated one, make the same account.
 */
import { insertAccount, isMemberOfOpen } from '../db/accounts.ts';
import { database } from '../db/client.ts';
import { type Membership, membershipsOf } from '../db/team.ts';
import { newId } from '../domain/ids.ts';
import type { Env } from '../env.ts';

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly role: 'customer' | 'operator';
  readonly emailVerified: boolean;
  /** whether every sign-in requires a code */
  readonly twoFactor: boolean;
  readonly createdAtMs: number;
}

/** The accounts that the person belongs to. A person without any gets an account of their own. */
export async function accountsOf(env: Env, person: Person, nowMs: number): Promise<Membership[]> {
  const known = await membershipsOf(database(env), person.id);
  if (known.length > 0) return known;
  const accountId = await ensureAccount(env, person, nowMs);
  return [{ accountId, accountName: person.name, role: 'owner', suspended: false, trialDecided: false }];
}

/**
 * Opens the person's own account, or another one if the first was closed or they were removed from it.
 * @returns the id of an account of their own, which exists now
 */
export async function ensureAccount(env: Env, person: Person, nowMs: number): Promise<string> {
  const db = database(env);
  for (let earlier = 0; ; earlier++) {
    const accountId = await ownAccountId(person, earlier);
    await insertAccount(db, { accountId, ownerId: person.id, name: person.name, nowMs });
    if (await isMemberOfOpen(db, { accountId, personId: person.id })) return accountId;
  }
}

/**
 * The id of the account that the person opened or would open, which is not one that they were invited to.
 * @param earlier how many accounts they opened before it and lost
 */
export async function ownAccountId(person: Pick<Person, 'id' | 'createdAtMs'>, earlier = 0): Promise<string> {
  const name = earlier === 0 ? `account of ${person.id}` : `account ${earlier} of ${person.id}`;
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(name));
  return newId('acct', person.createdAtMs, new Uint8Array(digest).subarray(0, 10));
}
