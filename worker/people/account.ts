/**
 * The account of a person: opened at sign-up, and completed on the next page if that was cut short.
 * Its id follows from the person's, so that two openings at once, or one cut short, are the same account.
 */
import { accountOfPerson, insertAccount } from '../db/accounts.ts';
import { database } from '../db/client.ts';
import { TRIAL_GRANT_ID } from '../domain/grant-id.ts';
import { newId } from '../domain/ids.ts';
import { config, type Env } from '../env.ts';

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly role: 'customer' | 'operator';
  readonly createdAtMs: number;
}

/** @returns the id of the account that the person owns, with its trial credit granted */
export async function ensureAccount(env: Env, person: Person, nowMs: number): Promise<string> {
  const db = database(env);
  const known = await accountOfPerson(db, person.id);
  if (known) return known;
  const accountId = await accountIdFor(person);
  // The grant comes first and is idempotent: an account that has its row has its credit.
  const amountNanoUsd = config(env).trialGrantNanoUsd;
  if (amountNanoUsd > 0)
    await env.WALLET.getByName(accountId).grant({ grantId: TRIAL_GRANT_ID, amountNanoUsd });
  await insertAccount(db, { accountId, ownerId: person.id, name: person.name, nowMs });
  return accountId;
}

async function accountIdFor(person: Person): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`account of ${person.id}`));
  return newId('acct', person.createdAtMs, new Uint8Array(digest).subarray(0, 10));
}
