/** The audit of an account's ledger: its Wallet's entries against the copy in D1 and the archive, page by page. */
import { mismatchedHoursOfUnarchived } from '../archive/archive-audit.ts';
import { chargedRequestsOf } from '../archive/charged-requests.ts';
import { projectedEntries, type SeqRange } from '../archive/ledger.ts';
import { nothingIfUnreadable } from '../archive/lines.ts';
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
import { sha256 } from '../lib/sha256.ts';

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
 * Audits the entries after `mark`; on the last page also the balance, and the hourly rollup of an account without an
 * archive (worker/archive/archive-audit.ts does it for others). Entries that the Wallet has folded are read from D1 and
 * the archive alone: they must chain, pay for what was used, and lead to what the Wallet's opening says.
 */
export async function auditLedgerPage(env: Env, accountId: string, mark: AuditCursor): Promise<AuditedPage> {
  const wallet = env.WALLET.getByName(accountId);
  const { opening, entries, headSeq, balanceNanoUsd, unpublishedFromSeq } = await wallet.auditPage({
    afterSeq: mark.seq,
    limit: PAGE_ENTRIES,
  });
  if (mark.seq < opening.seq) return auditFolded(env, accountId, mark, opening);
  const range = { accountId, afterSeq: mark.seq, toSeq: entries.at(-1)?.seq ?? mark.seq };
  const [projected, requests] = await Promise.all([
    projectedEntries(env, range).catch(nothingIfUnreadable<Entry>),
    requestsCharged(env, range, entries),
  ]);
  const page = checkAuditPage(mark, { entries, projected, requests, unpublishedFromSeq }, sha256);
  if (page.mark.seq < headSeq && entries.length > 0)
    return { ...page, checked: entries.length, complete: false };

  const findings = [...page.findings, ...(await mismatchedHoursOfUnarchived(env, accountId))];
  if (balanceNanoUsd !== page.mark.balanceNanoUsd) {
    const what = `is ${balanceNanoUsd}, the entries sum to ${page.mark.balanceNanoUsd}`;
    findings.push({ about: 'the balance', what });
  }
  return { findings, mark: page.mark, checked: entries.length, complete: true };
}

/** Audits folded entries after `mark`. The page after the last of them goes on from the opening, whatever was found. */
async function auditFolded(
  env: Env,
  accountId: string,
  mark: AuditCursor,
  opening: LedgerState,
): Promise<AuditedPage> {
  const range = { accountId, afterSeq: mark.seq, toSeq: Math.min(mark.seq + PAGE_ENTRIES, opening.seq) };
  const entries = await projectedEntries(env, range).catch(nothingIfUnreadable<Entry>);
  const requests = await requestsCharged(env, range, entries);
  const unpublishedFromSeq = Number.POSITIVE_INFINITY;
  const page = checkAuditPage(mark, { entries, projected: entries, requests, unpublishedFromSeq }, sha256);
  const checked = entries.length;
  if (range.toSeq < opening.seq && page.mark.seq === range.toSeq)
    return { ...page, checked, complete: false };
  const findings = [...page.findings, ...checkOpening(page.mark, opening)];
  return { findings, mark: cursorAt(opening), checked, complete: false };
}

async function requestsCharged(
  env: Env,
  range: SeqRange,
  entries: readonly Entry[],
): Promise<ChargedRequest[]> {
  const ids = chargedIds(entries);
  return ids ? chargedRequestsOf(env, range, ids) : [];
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
