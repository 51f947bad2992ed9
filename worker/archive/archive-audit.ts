/**
 * The audit of an account's archive, in pages: first each part against the manifest and the part before it, then each
 * hour's rollup against the requests of D1 and the archive together.
 */
import type { DueRequest } from '../db/archive.ts';
import { hasParts, type PartRow, partsAfter, partsFrom } from '../db/archive-parts.ts';
import { database } from '../db/client.ts';
import { type HourSum, mismatchedHours } from '../db/ledger-audit.ts';
import { requestIdsIn } from '../db/requests.ts';
import { checkPart } from '../domain/archive.ts';
import { ARCHIVE_KINDS, type ArchiveKind } from '../domain/archive-kinds.ts';
import { timeOfId } from '../domain/ids.ts';
import type { Finding } from '../domain/ledger-audit.ts';
import type { Env } from '../env.ts';
import { sha256 } from '../lib/sha256.ts';
import { nothingIfUnreadable, ROW_OF, readRequests } from './lines.ts';
import { readObject } from './objects.ts';

/** Parts of a page: each takes some 20 ms of processor time. */
const PARTS_A_PAGE = 20;
const HOUR_MS = 3_600_000;
/** Later than any request. */
const END_MS = Date.UTC(9999, 0);

/** Where the next page begins: after a part of a kind, or at an hour. */
export type ArchiveMark =
  | { readonly kind: ArchiveKind; readonly seq: number; readonly hash: string | null }
  | { readonly kind: 'hours'; readonly fromMs: number };

export const ARCHIVE_AUDIT_START: ArchiveMark = { kind: ARCHIVE_KINDS[0], seq: 0, hash: null };

export interface AuditedArchivePage {
  readonly findings: readonly Finding[];
  /** null: the audit is complete. */
  readonly mark: ArchiveMark | null;
  /** Parts that were checked. */
  readonly checked: number;
}

export async function auditArchivePage(
  env: Env,
  accountId: string,
  mark: ArchiveMark,
): Promise<AuditedArchivePage> {
  return mark.kind === 'hours' ? auditHours(env, accountId, mark.fromMs) : auditParts(env, accountId, mark);
}

async function auditParts(
  env: Env,
  accountId: string,
  mark: Extract<ArchiveMark, { seq: number }>,
): Promise<AuditedArchivePage> {
  const { kind } = mark;
  const which = { accountId, kind, afterSeq: mark.seq, limit: PARTS_A_PAGE };
  const parts = await partsAfter(database(env), which);
  const findings: Finding[] = [];
  let { seq, hash } = mark;
  for (const part of parts) {
    const about = `part ${part.seq} of the archived ${kind}`;
    if (part.seq !== seq + 1) findings.push({ about, what: `follows part ${seq} in the manifest` });
    findings.push(...(await faultsOf(env, part, hash)).map((what) => ({ about, what })));
    ({ seq, hash } = part);
  }
  if (parts.length === PARTS_A_PAGE) return { findings, mark: { kind, seq, hash }, checked: parts.length };
  const next = ARCHIVE_KINDS[ARCHIVE_KINDS.indexOf(kind) + 1];
  const nextMark: ArchiveMark = next ? { kind: next, seq: 0, hash: null } : { kind: 'hours', fromMs: 0 };
  return { findings, mark: nextMark, checked: parts.length };
}

async function faultsOf(env: Env, part: PartRow, previous: string | null): Promise<string[]> {
  const text = await readObject(env, part.objectKey).catch(() => 'not gzipped text');
  if (text === null) return ['is missing in R2'];
  return checkPart(
    { record: part, text, previous },
    ROW_OF[part.kind] as (line: unknown) => ReturnType<(typeof ROW_OF)['ledger']>,
    sha256,
  );
}

/** Audits the hours from `fromMs` on, as many as a page's parts hold requests of. */
async function auditHours(env: Env, accountId: string, fromMs: number): Promise<AuditedArchivePage> {
  const db = database(env);
  const { first } = requestIdsIn({ fromMs, toMs: fromMs });
  const parts = await partsFrom(db, { accountId, first, limit: PARTS_A_PAGE + 1 });
  const beyond = parts[PARTS_A_PAGE];
  // The hour before the one in which the first part that is left out may have requests; an hour at least.
  const beyondMs = beyond ? timeOfId(beyond.firstKey) - HOUR_MS : END_MS;
  const toMs = Math.max(fromMs + HOUR_MS, beyondMs - (beyondMs % HOUR_MS));
  const span = { accountId, fromMs, toMs };
  const sums = new Map<number, HourSum>();
  for (const part of await partsFrom(db, { accountId, first, before: requestIdsIn(span).end }))
    await addHours(env, part, span, sums);
  const findings = await mismatchedHours(db, span, [...sums.values()]);
  return { findings, mark: toMs === END_MS ? null : { kind: 'hours', fromMs: toMs }, checked: 0 };
}

async function addHours(
  env: Env,
  part: PartRow,
  { fromMs, toMs }: { fromMs: number; toMs: number },
  sums: Map<number, HourSum>,
): Promise<void> {
  // A part that cannot be read has been found already, and its hours will not add up.
  for (const { event } of await readRequests(env, part).catch(nothingIfUnreadable<DueRequest>)) {
    const hourMs = event.admittedAtMs - (event.admittedAtMs % HOUR_MS);
    if (hourMs < fromMs || hourMs >= toMs) continue;
    const { requests, chargeNanoUsd } = sums.get(hourMs) ?? { requests: 0, chargeNanoUsd: 0 };
    sums.set(hourMs, {
      hourMs,
      requests: requests + 1,
      chargeNanoUsd: chargeNanoUsd + event.chargeNanoUsd,
    });
  }
}

/** Finds hours whose rollup does not add up, of an account that has no archive; others are audited page by page. */
export async function mismatchedHoursOfUnarchived(env: Env, accountId: string): Promise<Finding[]> {
  const db = database(env);
  if (await hasParts(db, accountId)) return [];
  return mismatchedHours(db, { accountId, fromMs: 0, toMs: END_MS }, []);
}
