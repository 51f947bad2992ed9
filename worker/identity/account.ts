/**
 * The account of a person: opened at sign-up, and completed on the next page if sign-up was cut short. Its id is
 * derived from the person's id, so that two concurrent openings, or a repeated one, make the same account.
 */
import { insertAccount } from '../db/accounts.ts';
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
  return [{ accountId, accountName: person.name, role: 'owner', trialDecided: false }];
}

/** @returns the id of the person's own account, which exists now */
export async function ensureAccount(env: Env, person: Person, nowMs: number): Promise<string> {
  const accountId = await ownAccountId(person);
  await insertAccount(database(env), { accountId, ownerId: person.id, name: person.name, nowMs });
  return accountId;
}

/** The id of the account that the person opened or would open, which is not one that they were invited to. */
export async function ownAccountId(person: Pick<Person, 'id' | 'createdAtMs'>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`account of ${person.id}`));
  return newId('acct', person.createdAtMs, new Uint8Array(digest).subarray(0, 10));
}
