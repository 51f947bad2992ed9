/** Pages of an account's ledger: the Wallet has entries from the instant of their posting, D1 those that it has folded. */
import { projectedEntriesBefore } from '../archive/ledger.ts';
import type { Entry } from '../domain/ledger.ts';
import type { LedgerPage } from '../domain/wallet.ts';
import type { Env } from '../env.ts';

/** Entries before `beforeSeq`, newest first; undefined: from the newest on. */
export async function ledgerPage(
  env: Env,
  accountId: string,
  { beforeSeq, limit }: { beforeSeq?: number; limit: number },
): Promise<LedgerPage> {
  const { entries } = await env.WALLET.getByName(accountId).ledger({ beforeSeq, limit });
  const oldestSeq = entries.at(-1)?.seq ?? beforeSeq ?? 1;
  const missing = limit - entries.length;
  const folded =
    missing > 0 && oldestSeq > 1
      ? await projectedEntriesBefore(env, { accountId, beforeSeq: oldestSeq, limit: missing })
      : [];
  const all = [...entries, ...folded];
  const lastSeq = all.at(-1)?.seq ?? 1;
  return { entries: all, nextBeforeSeq: lastSeq > 1 ? lastSeq : null };
}

/** @returns null: the account has no entry with this number */
export async function findEntry(env: Env, accountId: string, seq: number): Promise<Entry | null> {
  const { entries } = await ledgerPage(env, accountId, { beforeSeq: seq + 1, limit: 1 });
  return entries.find((entry) => entry.seq === seq) ?? null;
}
