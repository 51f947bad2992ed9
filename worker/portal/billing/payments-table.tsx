/** Payments, newest first, with their states and invoices. */
import type { PaymentOrder } from '../../db/payments.ts';
import { invoiceName } from '../../domain/invoice.ts';
import { shownPaymentState } from '../../domain/payment-state.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

const BADGES = { open: 'badge-info', declined: 'badge-error', closed: '', paid: 'badge-success' } as const;

interface Props {
  readonly c: PortalContext;
  readonly orders: readonly PaymentOrder[];
  readonly nowMs: number;
  /** invoice numbers by order id; absent: the page's reader, an operator, has no page of invoices */
  readonly invoices?: ReadonlyMap<string, number>;
}

export function PaymentsTable({ c, orders, nowMs, invoices }: Props) {
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
              <State c={c} order={order} nowMs={nowMs} hasForm={invoices !== undefined} />
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

/** The state of a payment; where it was declined, the way to pay again. @param props.hasForm the page has the top-up form */
function State(props: { c: PortalContext; order: PaymentOrder; nowMs: number; hasForm: boolean }) {
  const { c, order, nowMs, hasForm } = props;
  const { t } = words(c);
  const state = shownPaymentState(order, nowMs);
  return (
    <>
      <span class={`badge badge-sm badge-soft ${BADGES[state]}`}>
        {state === 'declined' ? t.billing.orderDeclined : t.billing.orderStates[order.kind][state]}
      </span>
      {state === 'declined' && hasForm && (
        <a class="link block text-sm" href="#top-up">
          {t.billing.payAgain}
        </a>
      )}
    </>
  );
}
