/** Payments, newest first: what became of each, and its invoice. */
import type { PaymentOrder } from '../../db/payments.ts';
import { type PortalContext, words } from '../context.ts';
import { Heads, Sheet } from './sheet.tsx';

const BADGES = { open: 'badge-info', closed: '', paid: 'badge-success' } as const;

export function PaymentsTable({ c, orders }: { c: PortalContext; orders: readonly PaymentOrder[] }) {
  const { t, f } = words(c);
  return (
    <Sheet label={t.billing.paymentsTitle}>
      <Heads
        names={[
          t.billing.time,
          t.billing.kind,
          `#${t.billing.amount}`,
          t.billing.state,
          t.billing.invoice,
          t.billing.reference,
        ]}
      />
      <tbody>
        {orders.map((order) => (
          <tr>
            <td>{f.dateTime(order.createdAtMs)}</td>
            <td>{t.billing.orderKinds[order.kind]}</td>
            <td class="num">{f.usd(order.amountNanoUsd)}</td>
            <td>
              <span class={`badge badge-sm badge-soft ${BADGES[order.state]}`}>
                {t.billing.orderStates[order.kind][order.state]}
              </span>
            </td>
            <td>
              {order.invoiceUrl === null ? (
                '–'
              ) : (
                <a
                  class="link"
                  href={order.invoiceUrl}
                  rel="noreferrer"
                  aria-label={t.billing.invoiceOf(f.date(order.createdAtMs))}
                >
                  {t.billing.invoice}
                </a>
              )}
            </td>
            <td class="font-mono">{order.id}</td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}
