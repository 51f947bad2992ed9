/** Reads a ledger entry from the Wallet, which has every entry from the instant of its posting, and keeps all. */
import type { Entry } from '../../domain/ledger.ts';
import type { PortalContext } from '../frame/context.ts';

/** @returns null: the account has no entry with this number */
export async function findEntry(c: PortalContext, accountId: string, seq: number): Promise<Entry | null> {
  const { entries } = await c.env.WALLET.getByName(accountId).ledger({ beforeSeq: seq + 1, limit: 1 });
  return entries.find((entry) => entry.seq === seq) ?? null;
}
