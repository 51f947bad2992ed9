/**
 * Deletes what has been kept for as long as it may be, erases closed accounts, and notes the inboxes of earlier trial
 * credit. Runs once a minute, a slice at a time.
 */
import { deleteParts } from '../batches/file-parts.ts';
import { database } from '../db/client.ts';
import { closedAccountsToErase } from '../db/erase-account.ts';
import { applyRule, RETENTION_RULES, takeExpiredFiles } from '../db/retention.ts';
import { retentionMs } from '../domain/retention.ts';
import type { Env } from '../env.ts';
import { eraseClosedAccount } from '../identity/erase-account.ts';
import { noteEarlierTrials } from '../identity/trial.ts';
import { describeError } from '../lib/describe-error.ts';

/** Closed accounts erased in a run: closing erases its account at once, so only a failed or an old closing is left. */
const ACCOUNTS_A_RUN = 3;
/** Files deleted in a run: each is up to a few hundred objects in R2. */
const FILES_A_RUN = 20;

/** Safe to repeat, and to run twice at once. One failing step keeps none of the others from its work. */
export async function prune(env: Env, nowMs: number): Promise<void> {
  const db = database(env);
  for (const rule of RETENTION_RULES)
    await attempt(rule.kind, () => applyRule(db, rule, nowMs - retentionMs(rule.kind)));
  await attempt('file', () => deleteExpiredFiles(env, nowMs));
  await attempt('trial_grant', () => noteEarlierTrials(env, nowMs));
  await attempt('closed_account', async () => {
    for (const accountId of await closedAccountsToErase(db, ACCOUNTS_A_RUN))
      await eraseClosedAccount(env, accountId);
  });
}

async function attempt(step: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    console.error(JSON.stringify({ event: 'retention_failed', step, error: describeError(error) }));
  }
}

/** Rows go first: parts without a row are removed by the bucket's own rule, a row without parts would fail downloads. */
async function deleteExpiredFiles(env: Env, nowMs: number): Promise<void> {
  const files = await takeExpiredFiles(database(env), { nowMs, limit: FILES_A_RUN });
  for (const { id, parts } of files) await deleteParts(env.FILES, id, parts);
}
