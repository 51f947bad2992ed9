/** The audit of an account's ledger: its Wallet's entries against D1's copy, a page of entries at a time. */
import { createHash } from 'node:crypto';
import { database } from '../db/client.ts';
import { findChargedRequests, mismatchedHours, projectedEntries } from '../db/ledger-audit.ts';
import { chargedRequests, type Entry } from '../domain/ledger.ts';
import { type AuditCursor, checkAuditPage, type Finding } from '../domain/ledger-audit.ts';
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

/** Audits the entries after `mark`; on the last page also the balance and the hourly rollup. */
export async function auditLedgerPage(env: Env, accountId: string, mark: AuditCursor): Promise<AuditedPage> {
  const db = database(env);
  const wallet = env.WALLET.getByName(accountId);
  const { entries, headSeq, balanceNanoUsd, unpublishedFromSeq } = await wallet.auditPage({
    afterSeq: mark.seq,
    limit: PAGE_ENTRIES,
  });
  const range = { accountId, afterSeq: mark.seq, toSeq: entries.at(-1)?.seq ?? mark.seq };
  const ids = chargedIds(entries);
  const [projected, requests] = await Promise.all([
    projectedEntries(db, range),
    ids ? findChargedRequests(db, range, ids) : [],
  ]);
  const page = checkAuditPage(mark, { entries, projected, requests, unpublishedFromSeq }, (text) =>
    createHash('sha256').update(text).digest('hex'),
  );
  if (page.mark.seq < headSeq && entries.length > 0)
    return { ...page, checked: entries.length, complete: false };

  const findings = [...page.findings, ...(await mismatchedHours(db, accountId))];
  if (balanceNanoUsd !== page.mark.balanceNanoUsd) {
    const what = `is ${balanceNanoUsd}, the entries sum to ${page.mark.balanceNanoUsd}`;
    findings.push({ about: 'the balance', what });
  }
  return { findings, mark: page.mark, checked: entries.length, complete: true };
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
