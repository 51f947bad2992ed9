/** The audit of an account's ledger: its Wallet's entries against D1's copy, a page of entries at a time. */
import { createHash } from 'node:crypto';
import { type Database, database } from '../db/client.ts';
import { findChargedRequests, mismatchedHours, projectedEntries } from '../db/ledger-audit.ts';
import { chargedRequests, type Entry, type LedgerState } from '../domain/ledger.ts';
import {
  type AuditCursor,
  type ChargedRequest,
  checkAuditPage,
  checkOpening,
  cursorAt,
  type Finding,
} from '../domain/ledger-audit.ts';
import type { Env } from '../env.ts';

/** Keeps a page's rows and hashes well within one invocation: an entry may stand for a thousand requests. */
const PAGE_ENTRIES = 100;

export interface AuditedPage {
  readonly findings: readonly Finding[];
  /** Where the next page begins. The operator API returns it under this name. */
  readonly mark: AuditCursor;
  /** Number of entries on this page. */
  readonly checked: number;
  readonly complete: boolean;
}

/**
 * Audits the entries after `mark`; on the last page also the balance and the hourly rollup. Entries that the Wallet has
 * folded are read from D1 alone: they must chain, pay for what was used, and lead to what the Wallet's opening says.
 */
export async function auditLedgerPage(env: Env, accountId: string, mark: AuditCursor): Promise<AuditedPage> {
  const db = database(env);
  const wallet = env.WALLET.getByName(accountId);
  const { opening, entries, headSeq, balanceNanoUsd, unpublishedFromSeq } = await wallet.auditPage({
    afterSeq: mark.seq,
    limit: PAGE_ENTRIES,
  });
  if (mark.seq < opening.seq) return auditFolded(db, accountId, mark, opening);
  const range = { accountId, afterSeq: mark.seq, toSeq: entries.at(-1)?.seq ?? mark.seq };
  const [projected, requests] = await Promise.all([
    projectedEntries(db, range),
    requestsCharged(db, range, entries),
  ]);
  const page = checkAuditPage(mark, { entries, projected, requests, unpublishedFromSeq }, sha256);
  if (page.mark.seq < headSeq && entries.length > 0)
    return { ...page, checked: entries.length, complete: false };

  const findings = [...page.findings, ...(await mismatchedHours(db, accountId))];
  if (balanceNanoUsd !== page.mark.balanceNanoUsd) {
    const what = `is ${balanceNanoUsd}, the entries sum to ${page.mark.balanceNanoUsd}`;
    findings.push({ about: 'the balance', what });
  }
  return { findings, mark: page.mark, checked: entries.length, complete: true };
}

/** Audits folded entries after `mark`. The page after the last of them goes on from the opening, whatever was found. */
async function auditFolded(
  db: Database,
  accountId: string,
  mark: AuditCursor,
  opening: LedgerState,
): Promise<AuditedPage> {
  const range = { accountId, afterSeq: mark.seq, toSeq: Math.min(mark.seq + PAGE_ENTRIES, opening.seq) };
  const entries = await projectedEntries(db, range);
  const requests = await requestsCharged(db, range, entries);
  const unpublishedFromSeq = Number.POSITIVE_INFINITY;
  const page = checkAuditPage(mark, { entries, projected: entries, requests, unpublishedFromSeq }, sha256);
  const checked = entries.length;
  if (range.toSeq < opening.seq && page.mark.seq === range.toSeq)
    return { ...page, checked, complete: false };
  const findings = [...page.findings, ...checkOpening(page.mark, opening)];
  return { findings, mark: cursorAt(opening), checked, complete: false };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function requestsCharged(
  db: Database,
  range: Parameters<typeof findChargedRequests>[1],
  entries: readonly Entry[],
): Promise<ChargedRequest[]> {
  const ids = chargedIds(entries);
  return ids ? findChargedRequests(db, range, ids) : [];
}

/** The first and last ids of the requests that the entries charge; null: they charge none. */
function chargedIds(entries: readonly Entry[]): { first: string; last: string } | null {
  const spans = entries
    .filter(({ kind }) => kind === 'charge')
    .map((entry) => chargedRequests(entry.reference));
  if (spans.length === 0) return null;
  const first = spans.map((span) => span.first).sort()[0]!;
  const last = spans
    .map((span) => span.last)
    .sort()
    .at(-1)!;
  return { first, last };
}
