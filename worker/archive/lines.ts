/** Lines of the archive as rows of D1's tables, and back. The account is in the header, not in each line. */

import type { DueRequest, EntryRow } from '../db/archive.ts';
import type { PartRow } from '../db/archive-parts.ts';
import type { DriftRow } from '../db/drift.ts';
import type { ReceiptRow, RequestRow } from '../db/requests.ts';
import { type ArchivedRow, entryKey, parsePart } from '../domain/archive.ts';
import type { ArchiveKind } from '../domain/archive-kinds.ts';
import type { Env } from '../env.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { sha256 } from '../lib/sha256.ts';
import { readObject } from './objects.ts';

/** A line of a part of requests; fields are left out when they are empty. */
export type RequestLine = Omit<RequestRow, 'accountId'> & {
  readonly receipts?: readonly Omit<ReceiptRow, 'accountId' | 'requestId'>[];
  readonly findings?: readonly Omit<DriftRow, 'accountId' | 'requestId'>[];
};
export type EntryLine = Omit<EntryRow, 'accountId'>;

export function requestLine({ event, receipts, findings }: DueRequest): RequestLine {
  const { accountId: _, ...row } = event;
  return {
    ...row,
    ...(receipts.length > 0 && { receipts: receipts.map(withoutOwner) }),
    ...(findings.length > 0 && { findings: findings.map(withoutOwner) }),
  };
}

function withoutOwner<T extends { accountId: string; requestId: string }>(row: T) {
  const { accountId: _, requestId: __, ...rest } = row;
  return rest;
}

export function entryLine({ accountId: _, ...row }: EntryRow): EntryLine {
  return row;
}

function requestOfLine(accountId: string, line: RequestLine): DueRequest {
  const { receipts = [], findings = [], ...row } = line;
  const owner = { accountId, requestId: row.requestId };
  return {
    event: { ...row, accountId },
    receipts: receipts.map((receipt) => ({ ...receipt, ...owner })),
    findings: findings.map((finding) => ({ ...finding, ...owner })),
  };
}

/** The key and the amount of a line of each kind. */
export const ROW_OF: { readonly [K in ArchiveKind]: (line: never) => ArchivedRow } = {
  requests: (line: RequestLine) => ({ key: line.requestId, amountNanoUsd: line.chargeNanoUsd }),
  ledger: (line: EntryLine) => ({
    key: entryKey(line.seq),
    amountNanoUsd: line.grantedNanoUsd + line.paidNanoUsd,
  }),
};

/** A part is missing in R2, or is not what the manifest names. */
class UnreadablePart extends LoggableError {}

/** The rows of a part that cannot be read, for an audit to go on with: none. The audit of the parts says why. */
export function nothingIfUnreadable<T>(error: unknown): T[] {
  if (error instanceof UnreadablePart) return [];
  throw error;
}

/** The requests of a part, oldest first. @throws UnreadablePart */
export async function readRequests(env: Env, part: PartRow): Promise<DueRequest[]> {
  const rows = await readLines<RequestLine>(env, part);
  return rows.map((line) => requestOfLine(part.accountId, line));
}

/** The ledger entries of a part, oldest first. @throws UnreadablePart */
export async function readEntries(env: Env, part: PartRow): Promise<EntryRow[]> {
  const rows = await readLines<EntryLine>(env, part);
  return rows.map((line) => ({ ...line, accountId: part.accountId }));
}

async function readLines<T>(env: Env, part: PartRow): Promise<T[]> {
  // An object that is not gzipped text is not the part either.
  const text = await readObject(env, part.objectKey).catch(() => null);
  // Without this check a page would show, and a bill would rest on, whatever lies under that key.
  if (text === null || sha256(text) !== part.hash)
    throw new UnreadablePart(
      `part ${part.seq} of the archived ${part.kind} of ${part.accountId} is not in the archive`,
    );
  return parsePart<T>(text).rows;
}
