/** An entry of an account's ledger, from the Wallet, which has it at once and for good. */
import type { Entry } from '../../domain/ledger.ts';
import type { PortalContext } from '../frame/context.ts';

/** @returns null for a number that is no entry of the account */
export async function findEntry(c: PortalContext, accountId: string, seq: number): Promise<Entry | null> {
  const { entries } = await c.env.WALLET.getByName(accountId).ledger({ beforeSeq: seq + 1, limit: 1 });
  return entries.find((entry) => entry.seq === seq) ?? null;
}
