/** Payments, newest first, with their states and invoices. */
import type { PaymentOrder } from '../../db/payments.ts';
import { invoiceName } from '../../domain/invoice.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

const BADGES = { open: 'badge-info', closed: '', paid: 'badge-success' } as const;

interface Props {
  readonly c: PortalContext;
  readonly orders: readonly PaymentOrder[];
  /** invoice numbers by order id; absent: the page's reader, an operator, has no page of invoices */
  readonly invoices?: ReadonlyMap<string, number>;
}

export function PaymentsTable({ c, orders, invoices }: Props) {
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
              <Invoices c={c} order={order} number={invoices?.get(order.id)} />
            </td>
            <td class="font-mono">{order.id}</td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}

/** Links to our invoice as PDF, and to the payment provider's where there is one. */
function Invoices({ c, order, number }: { c: PortalContext; order: PaymentOrder; number?: number }) {
  const { t, f } = words(c);
  if (number === undefined && order.invoiceUrl === null) return <>–</>;
  return (
    <span class="flex gap-3">
      {number !== undefined && (
        <a
          class="link"
          href={`/billing/invoices/${invoiceName(number)}`}
          aria-label={t.billing.invoiceOf(f.date(order.createdAtMs))}
        >
          {invoiceName(number)}
        </a>
      )}
      {order.invoiceUrl !== null && (
        <a
          class="link"
          href={order.invoiceUrl}
          rel="noreferrer"
          aria-label={t.billing.providerInvoiceOf(f.date(order.createdAtMs))}
        >
          {t.billing.providerInvoice}
        </a>
      )}
    </span>
  );
}
