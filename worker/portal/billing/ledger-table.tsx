/** Ledger entries, newest first, to the nano-USD. */
import type { Entry } from '../../domain/ledger.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { EntryRequests } from '../usage/entry-requests.tsx';

/** Shown digits of a hash: enough to compare by eye. The title holds the whole hash. */
const HASH_SHOWN = 10;

export function LedgerTable({ c, entries }: { c: PortalContext; entries: readonly Entry[] }) {
  const { t, f } = words(c);
  return (
    <Sheet label={t.billing.ledgerTitle}>
      <Heads
        names={[
          `#${t.billing.seq}`,
          t.billing.time,
          t.billing.kind,
          `#${t.billing.grantedUsd}`,
          `#${t.billing.paidUsd}`,
          `#${t.billing.balance}`,
          t.billing.reference,
          t.billing.hash,
        ]}
      />
      <tbody>
        {entries.map((entry) => (
          <tr>
            <td class="num">{entry.seq}</td>
            <td>{f.dateTime(entry.atMs)}</td>
            <td>{t.billing.kinds[entry.kind]}</td>
            <td class="num font-mono">{f.usdColumn(entry.grantedNanoUsd)}</td>
            <td class="num font-mono">{f.usdColumn(entry.paidNanoUsd)}</td>
            <td class="num font-mono">{f.usdColumn(entry.balanceNanoUsd)}</td>
            <td>
              <EntryRequests c={c} entry={entry} />
            </td>
            <td class="font-mono" title={entry.hash}>
              {entry.hash.slice(0, HASH_SHOWN)}
            </td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}
