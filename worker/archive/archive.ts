/**
 * Moves ended requests and ledger entries from D1 to R2, a bounded number of parts a run. Each step may be the last one
 * before a crash:
 *
 * 1. the object's name is noted in D1, so that the next run removes an object that nothing refers to;
 * 2. the object is written and read back;
 * 3. one transaction records it in the manifest and deletes its rows.
 *
 * A row that arrives later than its month was archived becomes a part of its own with the next pass.
 */
import { nextDueAccount, recordPart } from '../db/archive.ts';
import {
  type ArchiveRunRow,
  claimRun,
  DATABASE_BYTES_MAX,
  DATABASE_BYTES_WARNED,
  databaseBytes,
  endPass,
  isInManifest,
  noteFailure,
  noteWriting,
  releaseRun,
} from '../db/archive-run.ts';
import { database } from '../db/client.ts';
import { monthBegin, PART_ROWS_MAX } from '../domain/archive.ts';
import { retentionMs } from '../domain/retention.ts';
import type { Env } from '../env.ts';
import { describeError, LoggableError } from '../lib/describe-error.ts';
import { accountOfKey, objectKey, writeObject } from './objects.ts';
import { nextPart } from './parts.ts';

/** Parts of a run, and so 20,000 rows a minute: a month that filled a third of D1 is archived in half a day. */
export const PARTS_A_RUN = 4;
/** Queries of a run that look for accounts with something to archive; each looks at 2,000 accounts. */
const LOOKS_A_RUN = 10;
/** A run takes seconds. One that has not ended after so long is dead. */
const CLAIM_MS = 10 * 60_000;
/** Between two passes over all accounts: months end seldom, but late rows should not wait long. */
const REST_MS = 60 * 60_000;

/** All months that ended this long ago leave D1. @returns the beginning of the first month that stays */
export function keptFrom(nowMs: number): number {
  return monthBegin(nowMs - retentionMs('request_in_database'));
}

/**
 * One run, of which there is one at a time. Safe to repeat, and to abort anywhere. A failure of an account is logged and
 * kept for the operator, and the next run goes on with the next account.
 * @param token random, names the run
 * @returns the number of parts that were archived
 */
export async function archive(
  env: Env,
  { nowMs, token, rowsMax = PART_ROWS_MAX }: { nowMs: number; token: string; rowsMax?: number },
): Promise<number> {
  const db = database(env);
  const claim = await claimRun(db, { token, nowMs, untilMs: nowMs + CLAIM_MS });
  if (claim === null) return 0;
  await removeLeftover(env, claim, token);
  const keptFromMs = keptFrom(nowMs);
  let parts = 0;
  let after = claim.afterAccountId;
  for (let look = 0; look < LOOKS_A_RUN && parts < PARTS_A_RUN; look++) {
    const { accountId, lastSeen } = await nextDueAccount(db, { after, keptFromMs });
    if (accountId !== null) {
      const limit = PARTS_A_RUN - parts;
      const account = await archiveAccount(env, { accountId, token, nowMs, rowsMax, limit });
      parts += account.parts;
      if (account.ended !== 'limit') after = accountId;
      // Its object may be left over, and the next run begins with removing it.
      if (account.ended === 'failed') break;
    } else if (lastSeen === null) {
      await endPass(db, { token, nowMs, restUntilMs: nowMs + REST_MS, keptFromMs });
      await warnOfSize(env);
      return parts;
    } else after = lastSeen;
  }
  await releaseRun(db, token, after);
  return parts;
}

/** Removes the object that a dead run wrote without recording it. */
async function removeLeftover(env: Env, claim: ArchiveRunRow, token: string): Promise<void> {
  const { writingKey } = claim;
  if (writingKey === null) return;
  const db = database(env);
  const accountId = accountOfKey(writingKey);
  if (!(await isInManifest(db, { accountId, objectKey: writingKey }))) await env.ARCHIVE.delete(writingKey);
  await noteWriting(db, token, null);
}

interface Run {
  readonly accountId: string;
  readonly token: string;
  readonly nowMs: number;
  readonly rowsMax: number;
}

async function archiveAccount(
  env: Env,
  run: Run & { limit: number },
): Promise<{ parts: number; ended: 'nothing_due' | 'limit' | 'failed' }> {
  const { accountId, token, nowMs, limit } = run;
  let parts = 0;
  try {
    for (; parts < limit; parts++) if (!(await archivePart(env, run))) return { parts, ended: 'nothing_due' };
    return { parts, ended: 'limit' };
  } catch (error) {
    const failure = describeError(error);
    console.error(JSON.stringify({ event: 'archive_failed', accountId, error: failure }));
    await noteFailure(database(env), { token, accountId, failure, nowMs });
    return { parts, ended: 'failed' };
  }
}

/** Archives one part. @returns false when nothing of the account is due @throws Error when a step failed */
async function archivePart(env: Env, { accountId, token, nowMs, rowsMax }: Run): Promise<boolean> {
  const db = database(env);
  const next = await nextPart(db, { accountId, keptFromMs: keptFrom(nowMs), rowsMax });
  if (next === null) return false;
  const { header, text, hash, leaving } = next;
  const key = objectKey({ accountId, kind: header.kind, month: header.month, hash });
  if (!(await noteWriting(db, token, key))) throw new LoggableError('the run has lost its claim');
  const bytes = await writeObject(env, key, text);
  const { kind, month, firstKey, lastKey, rows, sumNanoUsd, openingBalanceNanoUsd } = header;
  const part = {
    ...{
      accountId,
      kind,
      seq: header.part,
      month,
      firstKey,
      lastKey,
      rows,
      sumNanoUsd,
      openingBalanceNanoUsd,
    },
    ...{ hash, objectKey: key, bytes, archivedAtMs: nowMs },
  };
  if (!(await recordPart(db, { token, part, leaving })))
    throw new LoggableError('rows changed while they were archived');
  return true;
}

async function warnOfSize(env: Env): Promise<void> {
  const bytes = await databaseBytes(database(env));
  if (bytes === null || bytes < DATABASE_BYTES_WARNED) return;
  console.error(JSON.stringify({ event: 'database_filling', bytes, bytesMax: DATABASE_BYTES_MAX }));
}
