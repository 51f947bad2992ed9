/**
 * The archive's format. A part is one gzipped JSONL object in R2: a header line, then one line a row, oldest first, all
 * of one account and of one month (UTC). Each header names the hash of the part before, so an account's parts of a kind
 * form a chain that ends in D1's manifest. It is pure: what reads and writes parts is in worker/archive.
 */
import type { ArchiveKind } from './archive-kinds.ts';
import { firstIdAt, timeOfId } from './ids.ts';
import { GENESIS_HASH } from './ledger.ts';

/** Goes up when a line's fields change their meaning. Readers know every version ever written. */
const VERSION = 1;

/**
 * Rows of a part at most: 2 MB of text, some 200 KB in R2. Whoever looks up one request reads one part, in about 20 ms
 * of processor time; a transaction that deletes so many rows keeps D1's other callers waiting for about as long.
 */
export const PART_ROWS_MAX = 5_000;

export interface PartHeader {
  readonly archive: 'tollgate';
  readonly version: number;
  readonly kind: ArchiveKind;
  readonly account: string;
  /** Counts the account's parts of this kind, from 1. */
  readonly part: number;
  readonly month: string;
  readonly firstKey: string;
  readonly lastKey: string;
  readonly rows: number;
  readonly sumNanoUsd: number;
  readonly openingBalanceNanoUsd: number | null;
  /** SHA-256 of everything after this line, hex. */
  readonly sha256: string;
  /** The hash of the part before; zeros for the first. */
  readonly previous: string;
}

/** A row of a part. Its other fields are the row itself, under the names of its table's columns in camel case. */
export interface ArchivedRow {
  readonly key: string;
  readonly amountNanoUsd: number;
}

/** The key of a ledger entry, which sorts as text as its number does. */
export function entryKey(seq: number): string {
  return String(seq).padStart(16, '0');
}

export function monthOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 7);
}

export function monthBegin(atMs: number): number {
  const date = new Date(atMs);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
}

function monthEnd(atMs: number): number {
  const date = new Date(atMs);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
}

/** The least request id of the month after that of this id: a part that holds the id ends before it. */
export function endOfIdsMonth(requestId: string): string {
  return firstIdAt('req', monthEnd(timeOfId(requestId)));
}

/** The rows of the first row's month. @param rows oldest first */
export function rowsOfFirstMonth<T>(rows: readonly T[], atMsOf: (row: T) => number): readonly T[] {
  if (rows.length === 0) return rows;
  const month = monthOf(atMsOf(rows[0]!));
  const end = rows.findIndex((row) => monthOf(atMsOf(row)) !== month);
  return end === -1 ? rows : rows.slice(0, end);
}

/** The content of a part. */
export interface PartContent {
  readonly kind: ArchiveKind;
  readonly accountId: string;
  readonly part: number;
  readonly previous: string | null;
  readonly month: string;
  readonly openingBalanceNanoUsd: number | null;
  /** Ascending by key, not empty. */
  readonly rows: readonly (ArchivedRow & { readonly value: object })[];
}

export interface PartText {
  readonly header: PartHeader;
  readonly text: string;
  /** SHA-256 of the text, hex: the chain's next link. */
  readonly hash: string;
}

/** @param hash SHA-256 of a text, hex */
export function formatPart(content: PartContent, hash: (text: string) => string): PartText {
  const { rows } = content;
  const body = rows.map(({ value }) => `${JSON.stringify(value)}\n`).join('');
  const header: PartHeader = {
    archive: 'tollgate',
    version: VERSION,
    kind: content.kind,
    account: content.accountId,
    part: content.part,
    month: content.month,
    firstKey: rows[0]!.key,
    lastKey: rows.at(-1)!.key,
    rows: rows.length,
    sumNanoUsd: rows.reduce((sum, { amountNanoUsd }) => sum + amountNanoUsd, 0),
    openingBalanceNanoUsd: content.openingBalanceNanoUsd,
    sha256: hash(body),
    previous: content.previous ?? GENESIS_HASH,
  };
  const text = `${JSON.stringify(header)}\n${body}`;
  return { header, text, hash: hash(text) };
}

/** A part's row in D1's manifest. */
export interface PartRecord {
  readonly accountId: string;
  readonly kind: ArchiveKind;
  readonly seq: number;
  readonly month: string;
  readonly firstKey: string;
  readonly lastKey: string;
  readonly rows: number;
  readonly sumNanoUsd: number;
  readonly openingBalanceNanoUsd: number | null;
  readonly hash: string;
}

/** Splits a part. @throws SyntaxError when it is no JSONL */
export function parsePart<T>(text: string): { header: PartHeader; rows: T[] } {
  const [header, ...lines] = text.trimEnd().split('\n');
  return { header: JSON.parse(header!) as PartHeader, rows: lines.map((line) => JSON.parse(line) as T) };
}

/**
 * Compares a part with its row in the manifest and with the part before.
 * @param previous the hash of the part before; null for the first
 * @param rowOf the key and the amount of a line
 * @param hash SHA-256 of a text, hex
 * @returns sentences without their subject, which is the part
 */
export function checkPart<T>(
  part: { record: PartRecord; text: string; previous: string | null },
  rowOf: (line: T) => ArchivedRow,
  hash: (text: string) => string,
): string[] {
  const { record, text } = part;
  if (hash(text) !== record.hash) return ['is not the text whose hash the manifest has'];
  const { header, rows } = parsePart<T>(text);
  const keyed = rows.map(rowOf);
  const found = {
    accountId: header.account,
    kind: header.kind,
    seq: header.part,
    month: header.month,
    firstKey: keyed[0]?.key,
    lastKey: keyed.at(-1)?.key,
    rows: keyed.length,
    sumNanoUsd: keyed.reduce((sum, { amountNanoUsd }) => sum + amountNanoUsd, 0),
    openingBalanceNanoUsd: header.openingBalanceNanoUsd,
  };
  const findings: string[] = [];
  for (const [field, value] of Object.entries(found)) {
    const said = record[field as keyof PartRecord];
    if (said !== value) findings.push(`has ${field} ${value}, the manifest says ${said}`);
  }
  if (header.previous !== (part.previous ?? GENESIS_HASH))
    findings.push('does not follow the part before it');
  if (keyed.some(({ key }, at) => at > 0 && key <= keyed[at - 1]!.key))
    findings.push('has rows out of order');
  return findings;
}
