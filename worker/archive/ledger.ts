/**
 * Ledger entries that D1 was told, wherever they are. The archive has all up to a number; D1 has the later ones, and of
 * the earlier ones those that are no charges.
 */
import type { EntryRow } from '../db/archive.ts';
import { ledgerParts } from '../db/archive-parts.ts';
import { database } from '../db/client.ts';
import { entriesOf, toEntry } from '../db/ledger-audit.ts';
import type { Entry } from '../domain/ledger.ts';
import type { Env } from '../env.ts';
import { readEntries } from './lines.ts';

export interface SeqRange {
  readonly accountId: string;
  /** Exclusive. */
  readonly afterSeq: number;
  /** Inclusive. */
  readonly toSeq: number;
}

/** Parts that one range reads: a range is a page, and a part holds fifty pages. */
const PARTS_MAX = 20;

/** Entries by number, oldest first, each once. */
export async function projectedEntries(env: Env, range: SeqRange): Promise<Entry[]> {
  const { accountId, afterSeq, toSeq } = range;
  const db = database(env);
  // In one transaction: an entry that leaves D1 in between would be in both answers, or in neither.
  const [hot, parts] = await db.batch([
    entriesOf(db, range),
    ledgerParts(db, { accountId, fromSeq: afterSeq + 1, toSeq, limit: PARTS_MAX }),
  ]);
  const found = new Map<number, EntryRow>(hot.map((row) => [row.seq, row]));
  for (const part of parts) {
    for (const row of await readEntries(env, part))
      if (row.seq > afterSeq && row.seq <= toSeq) found.set(row.seq, row);
  }
  return [...found.values()].sort((a, b) => a.seq - b.seq).map(toEntry);
}

/** Entries before `beforeSeq`, newest first. */
export async function projectedEntriesBefore(
  env: Env,
  { accountId, beforeSeq, limit }: { accountId: string; beforeSeq: number; limit: number },
): Promise<Entry[]> {
  const range = { accountId, afterSeq: Math.max(0, beforeSeq - 1 - limit), toSeq: beforeSeq - 1 };
  return (await projectedEntries(env, range)).reverse();
}
