/** How far receipts lag behind: the newest of each node, and the number of billed requests still without a receipt. */
import type { Reconciliation } from '../../billing/reconciliation.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function ReceiptLag({ c, reconciliation }: { c: PortalContext; reconciliation: Reconciliation }) {
  const { t, f } = words(c);
  const names = t.operator.reconciliation;
  const present = reconciliation.nodes.filter(({ state }) => state !== 'removed');
  return (
    <section aria-labelledby="lag">
      <h2 id="lag" class="mb-1">
        {names.lagTitle}
      </h2>
      <p class="mb-1">
        {reconciliation.waiting === 0 ? names.waitingNone : names.waiting(f.count(reconciliation.waiting))}
      </p>
      {present.length > 0 && (
        <Sheet label={names.lagTitle}>
          <Heads names={[names.node, names.newest, `#${names.delay}`]} />
          <tbody>
            {present.map((node) => {
              const newest = reconciliation.newest.find(({ nodeId }) => nodeId === node.id);
              const delayMs = newest?.endedAtMs == null ? null : newest.receivedAtMs - newest.endedAtMs;
              return (
                <tr>
                  <th scope="row">{node.name}</th>
                  <td>{newest ? f.moment(newest.receivedAtMs) : names.noReceipt}</td>
                  <td class="num">{delayMs === null ? '–' : f.duration(Math.max(0, delayMs))}</td>
                </tr>
              );
            })}
          </tbody>
        </Sheet>
      )}
    </section>
  );
}
