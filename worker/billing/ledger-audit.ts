/** The audit of an account's books: its Wallet against D1, a page of entries at a time. */
import { createHash } from 'node:crypto';
import { database } from '../db/client.ts';
import { bookedRequests, projectedEntries, unevenHours } from '../db/ledger-audit.ts';
import { chargedRequests, type Entry } from '../domain/ledger.ts';
import { type AuditMark, checkPage, type Finding } from '../domain/ledger-audit.ts';
import type { Env } from '../env.ts';

/** Keeps a page's rows and hashes well within one invocation: an entry may be of a thousand requests. */
const PAGE_ENTRIES = 100;

export interface AuditedPage {
  readonly findings: readonly Finding[];
  /** where the next page begins */
  readonly mark: AuditMark;
  /** entries on this page */
  readonly checked: number;
  readonly complete: boolean;
}

/** Checks the entries after `mark`; on the last page also the balance and the hourly rollup. */
export async function auditPage(env: Env, accountId: string, mark: AuditMark): Promise<AuditedPage> {
  const db = database(env);
  const wallet = env.WALLET.getByName(accountId);
  const { entries, headSeq, balanceNanoUsd, untoldFromSeq } = await wallet.auditPage({
    afterSeq: mark.seq,
    limit: PAGE_ENTRIES,
  });
  const range = { accountId, afterSeq: mark.seq, toSeq: entries.at(-1)?.seq ?? mark.seq };
  const ids = chargedIds(entries);
  const [projected, requests] = await Promise.all([
    projectedEntries(db, range),
    ids ? bookedRequests(db, range, ids) : [],
  ]);
  const page = checkPage(mark, { entries, projected, requests, untoldFromSeq }, (text) =>
    createHash('sha256').update(text).digest('hex'),
  );
  if (page.mark.seq < headSeq && entries.length > 0)
    return { ...page, checked: entries.length, complete: false };

  const findings = [...page.findings, ...(await unevenHours(db, accountId))];
  if (balanceNanoUsd !== page.mark.balanceNanoUsd) {
    const what = `is ${balanceNanoUsd}, the entries sum to ${page.mark.balanceNanoUsd}`;
    findings.push({ about: 'the balance', what });
  }
  return { findings, mark: page.mark, checked: entries.length, complete: true };
}

/** From the first to the last request that they charge; null: they charge none. */
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
