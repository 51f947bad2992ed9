/**
 * The audit of an account's ledger: the Wallet's chain of entries, its projection in D1, and the arithmetic of each charge.
 * It is pure and works page by page, so that a ledger of any length can be audited.
 */
import { chargeReference, type Entry, GENESIS_HASH, hashInput, type LedgerState } from './ledger.ts';
import { chargeFor, type Price } from './pricing.ts';
import type { Usage } from './usage.ts';

/** Position between two pages: after the last entry that was checked. */
export interface AuditCursor {
  readonly seq: number;
  readonly hash: string;
  readonly balanceNanoUsd: number;
  /** Sum of the granted legs until then, which an opening names too. */
  readonly grantedNanoUsd: number;
}

export const AUDIT_START: AuditCursor = { seq: 0, hash: GENESIS_HASH, balanceNanoUsd: 0, grantedNanoUsd: 0 };

/** The cursor at the state that an opening names. */
export function cursorAt({ seq, hash, grantedNanoUsd, paidNanoUsd }: LedgerState): AuditCursor {
  return { seq, hash, balanceNanoUsd: grantedNanoUsd + paidNanoUsd, grantedNanoUsd };
}

/** A charged request as D1 has it, with the price row that it names. Other requests may share its entry. */
export interface ChargedRequest {
  readonly requestId: string;
  readonly entrySeq: number;
  readonly usage: Usage;
  readonly price: Price;
  readonly chargeNanoUsd: number;
}

export interface AuditPage {
  /** The Wallet's entries after the cursor, oldest first. */
  readonly entries: readonly Entry[];
  /** D1's rows with the same sequence numbers. */
  readonly projected: readonly Entry[];
  /** D1's requests that name one of these entries. */
  readonly requests: readonly ChargedRequest[];
  /** From this entry on D1 may lag behind, so only the chain is checked there. */
  readonly unpublishedFromSeq: number;
}

/** A difference that the audit found. */
export interface Finding {
  /** the entry or request */
  readonly about: string;
  /** a sentence without its subject, which is `about` */
  readonly what: string;
}

/**
 * Checks one page.
 * @param mark the cursor that the page before returned
 * @param hash SHA-256 of a text, hex
 * @returns the findings, and the cursor for the next page
 */
export function checkAuditPage(
  mark: AuditCursor,
  page: AuditPage,
  hash: (text: string) => string,
): { findings: Finding[]; mark: AuditCursor } {
  const findings: Finding[] = [];
  const projected = new Map(page.projected.map((entry) => [entry.seq, entry]));
  const requests = Map.groupBy(page.requests, ({ entrySeq }) => entrySeq);
  let { seq, hash: head, balanceNanoUsd, grantedNanoUsd } = mark;
  for (const entry of page.entries) {
    const about = `entry ${entry.seq} (${entry.kind} ${entry.reference})`;
    const find = (what: string) => findings.push({ about, what });
    const { hash: storedHash, ...body } = entry;

    seq += 1;
    if (entry.seq !== seq) find(`follows entry ${seq - 1}: ${entry.seq - seq} missing in between`);
    seq = entry.seq;
    if (hash(hashInput(head, body)) !== storedHash)
      find('the hash is not that of its content and of the entry before it');
    head = storedHash;
    balanceNanoUsd += entry.grantedNanoUsd + entry.paidNanoUsd;
    grantedNanoUsd += entry.grantedNanoUsd;
    if (entry.balanceNanoUsd !== balanceNanoUsd) {
      find(`says a balance of ${entry.balanceNanoUsd}, the entries sum to ${balanceNanoUsd}`);
      balanceNanoUsd = entry.balanceNanoUsd;
    }

    if (entry.seq >= page.unpublishedFromSeq) continue;
    const copy = projected.get(entry.seq);
    if (!copy) find('is missing in D1');
    else if (JSON.stringify(inOrder(copy)) !== JSON.stringify(inOrder(entry))) find('differs in D1');
    if (entry.kind === 'charge') checkCharge(entry, requests.get(entry.seq) ?? [], find);
  }
  return { findings, mark: { seq, hash: head, balanceNanoUsd, grantedNanoUsd } };
}

/**
 * Checks that the folded entries lead to what the Wallet's opening says of them.
 * @param mark the cursor after the last entry that D1 has of them
 */
export function checkOpening(mark: AuditCursor, opening: LedgerState): Finding[] {
  const about = `the opening of ${opening.seq} entries`;
  const expected = cursorAt(opening);
  if (mark.seq !== expected.seq) return [{ about, what: `has entries until ${mark.seq} only in D1` }];
  const findings: Finding[] = [];
  for (const [key, name] of OPENED)
    if (mark[key] !== expected[key])
      findings.push({ about, what: `says ${name} ${expected[key]}, its entries lead to ${mark[key]}` });
  return findings;
}

const OPENED = [
  ['hash', 'the hash'],
  ['balanceNanoUsd', 'a balance of'],
  ['grantedNanoUsd', 'granted credit of'],
] as const satisfies readonly (readonly [keyof AuditCursor, string])[];

function checkCharge(entry: Entry, requests: readonly ChargedRequest[], find: (what: string) => void): void {
  if (requests.length === 0) return void find('has no request in D1');
  const reference = chargeReference(requests.map(({ requestId }) => requestId));
  if (reference !== entry.reference) find(`belongs to ${reference} in D1`);
  const charged = -(entry.grantedNanoUsd + entry.paidNanoUsd);
  const sum = requests.reduce((total, { chargeNanoUsd }) => total + chargeNanoUsd, 0);
  if (sum !== charged) find(`took ${charged}, its requests in D1 sum to ${sum}`);
  for (const { requestId, usage, price, chargeNanoUsd } of requests) {
    const recomputed = chargeFor(usage, price);
    if (recomputed !== chargeNanoUsd)
      find(`took ${chargeNanoUsd} for ${requestId}, tokens × ${price.id} is ${recomputed}`);
  }
}

function inOrder(entry: Entry): unknown[] {
  const { seq, atMs, kind, reference, grantedNanoUsd, paidNanoUsd, balanceNanoUsd, hash } = entry;
  return [seq, atMs, kind, reference, grantedNanoUsd, paidNanoUsd, balanceNanoUsd, hash];
}
