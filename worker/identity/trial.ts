/**
 * Trial credit: given to a person's own account when their e-mail address is confirmed, once per inbox, and as long as
 * the day's total of the installation lasts. An account that must wait gets it on a later visit.
 */

import { findAccount } from '../db/accounts.ts';
import { database } from '../db/client.ts';
import type { Membership } from '../db/team.ts';
import {
  claimTrialGrant,
  listUnnotedTrials,
  noteTrialGrant,
  setTrialDecided,
  setTrialNoted,
  trialGrantsOn,
} from '../db/trial-grants.ts';
import { canonicalEmail } from '../domain/canonical-email.ts';
import { TRIAL_GRANT_ID } from '../domain/grant-id.ts';
import { dayOf } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { config, type Env } from '../env.ts';
import { sendsEmail } from '../notifications/email/send.ts';
import { ownAccountId, type Person } from './account.ts';
import { inboxHash } from './inbox-key.ts';

/** Trial credit that an account may still get: once its owner confirms the address, or once a day's total allows. */
export type PendingTrial = 'unconfirmed' | 'waiting';

/**
 * Gives the person's own account its trial credit, if it is due and not decided yet.
 * @returns null: nothing is pending, for example because this account is not their own
 */
export async function settleTrial(
  env: Env,
  { person, membership, nowMs }: { person: Person; membership: Membership; nowMs: number },
): Promise<PendingTrial | null> {
  const { accountId, trialDecided } = membership;
  if (trialDecided || accountId !== (await ownAccountId(person))) return null;
  if (config(env).trialGrantNanoUsd > 0 && !person.emailVerified)
    return sendsEmail(env) ? 'unconfirmed' : null;
  return decideTrial(env, { accountId, email: person.email, nowMs });
}

/** The same for a person who has just confirmed their address, perhaps in a browser where they are not signed in. */
export async function settleTrialOfConfirmed(
  env: Env,
  person: Pick<Person, 'id' | 'email' | 'createdAtMs'>,
  nowMs: number,
): Promise<void> {
  const accountId = await ownAccountId(person);
  const account = await findAccount(database(env), accountId);
  // a person without an account of their own is a member of another's, or has yet to open theirs
  if (account === null || account.closedAtMs !== null || account.trialDecidedAtMs !== null) return;
  await decideTrial(env, { accountId, email: person.email, nowMs });
}

async function decideTrial(
  env: Env,
  { accountId, email, nowMs }: { accountId: string; email: string; nowMs: number },
): Promise<'waiting' | null> {
  const { trialGrantNanoUsd, trialDailyNanoUsd } = config(env);
  const db = database(env);
  if (trialGrantNanoUsd > 0) {
    const claim = {
      emailHash: await emailHashOf(env, email),
      accountId,
      amountNanoUsd: trialGrantNanoUsd,
      day: dayOf(nowMs),
    };
    const row = await claimTrialGrant(db, claim, trialDailyNanoUsd);
    if (row === null) return 'waiting';
    // The claim comes first and the grant is idempotent: whatever breaks off between them is completed by a later call.
    if (row.accountId === accountId && row.amountNanoUsd > 0) {
      const amountNanoUsd = nanoUsd(row.amountNanoUsd);
      await env.WALLET.getByName(accountId).grant({ grantId: TRIAL_GRANT_ID, amountNanoUsd });
    }
  }
  await setTrialDecided(db, { accountId, nowMs });
  return null;
}

/** Notes before an account is closed that its owner's inbox has had trial credit, if it has. */
export async function rememberTrial(
  env: Env,
  { accountId, email, nowMs }: { accountId: string; email: string; nowMs: number },
): Promise<void> {
  const db = database(env);
  const account = await findAccount(db, accountId);
  if (account === null || account.trialDecidedAtMs === null) return;
  await noteTrialGrant(db, { emailHash: await emailHashOf(env, email), accountId, day: dayOf(nowMs) });
}

/** Accounts noted in a run: some two hundred short statements. */
const NOTED_A_RUN = 50;

/**
 * Notes the inboxes of accounts that had their trial credit before inboxes were noted, a slice at a time: those of the
 * people who opened them, since only a person's own account is given credit. Safe to repeat.
 */
export async function noteEarlierTrials(env: Env, nowMs: number): Promise<void> {
  const db = database(env);
  for (const { accountId, decidedAtMs, owners } of await listUnnotedTrials(db, NOTED_A_RUN)) {
    for (const owner of owners) {
      if (accountId !== (await ownAccountId(owner))) continue;
      const emailHash = await emailHashOf(env, owner.email);
      await noteTrialGrant(db, { emailHash, accountId, day: dayOf(decidedAtMs) });
    }
    await setTrialNoted(db, accountId, nowMs);
  }
}

/** Trial credit as a newcomer gets it. */
export interface TrialOffer {
  readonly amountNanoUsd: NanoUsd;
  /** Whether today's total is used up, so that newcomers have to wait. */
  readonly usedUp: boolean;
}

/** @returns null: this installation gives none, or cannot confirm an address */
export async function trialOffer(env: Env, nowMs: number): Promise<TrialOffer | null> {
  const { trialGrantNanoUsd, trialDailyNanoUsd, github } = config(env);
  const canConfirm = sendsEmail(env) || github !== null;
  if (trialGrantNanoUsd === 0 || trialDailyNanoUsd === 0 || !canConfirm) return null;
  const { totalNanoUsd } = await trialGrantsOn(database(env), dayOf(nowMs));
  return { amountNanoUsd: trialGrantNanoUsd, usedUp: totalNanoUsd + trialGrantNanoUsd > trialDailyNanoUsd };
}

function emailHashOf(env: Env, email: string): Promise<string> {
  return inboxHash(env, `trial credit of ${canonicalEmail(email)}`);
}
