/**
 * Ledgers whose oldest entries were folded into an opening. D1 has those entries, so the laws read the whole ledger; a world
 * without D1 starts at the state that the opening names. The format of an opening is read here again, not with the code
 * under test.
 */
import type { AccountRows, EntryRow, Law, LedgerStart, World } from './world.ts';
import { findings } from './world-views.ts';

/** The state that an opening names: `seq:hash:granted:paid`. */
export function stateOf({ reference }: Pick<EntryRow, 'reference'>): LedgerStart {
  const [seq, hash, granted, paid] = reference.split(':') as [string, string, string, string];
  return { seq: Number(seq), hash, granted: Number(granted), paid: Number(paid) };
}

/** The same world, in which each account's `entry` begins as early as it is known. */
export function withFoldedEntries(world: World): World {
  return { ...world, accounts: world.accounts.map((account) => unfolded(world, account)) };
}

function unfolded({ d1 }: World, account: AccountRows): AccountRows {
  const { accountId, entry } = account;
  const removed = removedOf(account);
  if (!entry || removed === 0) return account;
  const copies = d1?.ledger_entry?.filter((row) => row.account_id === accountId && row.seq <= removed);
  if (copies) return { ...account, entry: [...copies, ...entry] };
  return { ...account, start: openingOf(account, removed) };
}

/** Each Wallet whose first entries are gone has an opening that names the last of them. */
export const openings: Law = ({ accounts }) => {
  const { found, report } = findings('L10');
  for (const account of accounts) {
    const removed = removedOf(account);
    if (removed > 0 && !openingOf(account, removed))
      report(account.accountId, `lacks its first ${removed} entries, and no opening names them`);
  }
  return found;
};

/** How many entries are gone from the beginning of the Wallet's ledger. */
function removedOf({ entry = [], credit }: AccountRows): number {
  if (entry.length === 0) return credit?.head_seq ?? 0;
  return Math.min(...entry.map(({ seq }) => seq)) - 1;
}

function openingOf({ entry = [] }: AccountRows, removed: number): LedgerStart | undefined {
  return entry
    .filter(({ kind }) => kind === 'opening')
    .map(stateOf)
    .find(({ seq }) => seq === removed);
}
