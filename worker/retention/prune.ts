/**
 * Deletes what has been kept for as long as it may be, erases closed accounts, notes the inboxes of earlier trial credit,
 * and closes sums that have been open for a day. Runs once a minute, a slice at a time.
 */
import { deleteParts } from '../batches/file-parts.ts';
import { database } from '../db/client.ts';
import { closedAccountsToErase } from '../db/erase-account.ts';
import { closeOpenSums } from '../db/open-sums.ts';
import { applyRule, RETENTION_RULES, takeExpiredFiles } from '../db/retention.ts';
import { retentionMs } from '../domain/retention.ts';
import type { Env } from '../env.ts';
import { eraseClosedAccount } from '../identity/erase-account.ts';
import { noteEarlierTrials } from '../identity/trial.ts';
import { describeError } from '../lib/describe-error.ts';

/** Closed accounts erased in a run: closing erases its account at once, so only a failed or an old closing is left. */
const ACCOUNTS_A_RUN = 3;
/** The minute of the hour in which open sums are added to their tables, away from the full hour's other work. */
const CLOSING_MINUTE = 7;
/** How long sums stay open: the longer, the more requests share the row that closing writes for each account. */
const OPEN_MS = 24 * 3_600_000;
/** Files deleted in a run: each is up to a few hundred objects in R2. */
const FILES_A_RUN = 20;

/** Safe to repeat, and to run twice at once. One failing step keeps none of the others from its work. */
export async function prune(env: Env, nowMs: number): Promise<void> {
  const db = database(env);
  for (const rule of RETENTION_RULES)
    await attempt(rule.kind, () => applyRule(db, rule, nowMs - retentionMs(rule.kind)));
  // Each time every account's row is read, so it is done once an hour.
  if (new Date(nowMs).getUTCMinutes() === CLOSING_MINUTE)
    await attempt('open_sums', () => closeOpenSums(db, nowMs - OPEN_MS));
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
