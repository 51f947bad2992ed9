/**
 * Tells the accounts that use a model of its announced end: when it is announced, 30, 7 and 1 days before, at the end, and
 * when it is withdrawn. Runs once a minute, a slice of accounts at a time; the end itself needs no run (read-request.ts).
 */
import { loadCatalogue, type Model } from '../db/catalogue.ts';
import { type Database, database } from '../db/client.ts';
import {
  accountsThatUsed,
  accountsToldOfEnd,
  advanceRun,
  beginRun,
  endingModels,
  hoursOfUse,
  type ModelEndRun,
  openRun,
} from '../db/model-end.ts';
import {
  chargedFor,
  costAt,
  stageDue,
  USED_WITHIN_DAYS,
  withStandingSuccessor,
} from '../domain/model-end.ts';
import type { Notice } from '../domain/notice.ts';
import type { Env } from '../env.ts';
import { raiseNotice } from './raise.ts';

const DAY_MS = 86_400_000;
/** Accounts told in a run: each costs three calls to D1 and the queue, of which an invocation may make a thousand. */
const ACCOUNTS_A_RUN = 100;

/** Safe to repeat, and to run twice at once: a notice's id is made of account, model, end, stage and its beginning. */
export async function tellOfModelEnds(env: Env, nowMs: number): Promise<void> {
  const db = database(env);
  for (const ending of await endingModels(db)) {
    const stage = stageDue(ending, nowMs);
    const { id: modelId, endsAtMs } = ending;
    if (stage !== null) await beginRun(db, { modelId, endsAtMs, stage, beganAtMs: nowMs });
  }
  const run = await openRun(db);
  if (run === null) return;
  const models = await loadCatalogue(db);
  const accountIds = await accountsToTell(db, run, nowMs);
  for (const accountId of accountIds) {
    const notice = await noticeOf(db, run, { accountId, models, nowMs });
    const cause = `end of ${run.modelId} at ${run.endsAtMs}: ${run.stage} since ${run.beganAtMs}`;
    await raiseNotice(env, { accountId, cause, notice, nowMs });
  }
  await advanceRun(db, run, {
    afterAccountId: accountIds.at(-1) ?? run.afterAccountId,
    done: accountIds.length < ACCOUNTS_A_RUN,
  });
}

function accountsToTell(
  db: Database,
  { modelId, stage, afterAccountId: after }: ModelEndRun,
  nowMs: number,
): Promise<string[]> {
  if (stage === 'withdrawn') return accountsToldOfEnd(db, { modelId, after, limit: ACCOUNTS_A_RUN });
  const sinceMs = nowMs - USED_WITHIN_DAYS * DAY_MS;
  return accountsThatUsed(db, { modelId, sinceMs, after, limit: ACCOUNTS_A_RUN });
}

async function noticeOf(
  db: Database,
  { modelId, endsAtMs, stage }: ModelEndRun,
  { accountId, models, nowMs }: { accountId: string; models: readonly Model[]; nowMs: number },
): Promise<Notice> {
  if (stage === 'withdrawn') return { kind: 'model.end_withdrawn', modelId, endsAtMs };
  const hours = await hoursOfUse(db, { accountId, modelId, sinceMs: nowMs - 7 * DAY_MS });
  const model = models.find(({ id }) => id === modelId);
  const successorId = model ? withStandingSuccessor(model, models, nowMs).successorId : null;
  const successor = models.find(({ id }) => id === successorId);
  return {
    kind: stage === 'ended' ? 'model.ended' : 'model.ending',
    modelId,
    endsAtMs,
    successorId,
    weekNanoUsd: chargedFor(hours),
    successorWeekNanoUsd: successor ? costAt(successor.prices, hours) : null,
  };
}
