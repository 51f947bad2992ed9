/**
 * The sandbox's invoice: a page to print, with the facts that a real one has. As with the checkout page, anybody who
 * knows the order's id may see it; the id cannot be guessed.
 */
import { database } from '../../db/client.ts';
import { findOrder, type PaymentOrder } from '../../db/payments.ts';
import { isId } from '../../domain/ids.ts';
import { config, type Env } from '../../env.ts';
import { UnknownPage } from './page.tsx';
import { page, sandboxPages } from './pages.ts';
import { SANDBOX } from './sandbox.ts';
import { SANDBOX_INVOICE_PATH } from './send.ts';
import { BackLink, Shell } from './shell.tsx';
import { amountOf, type Language, languageOf, WORDS } from './words.ts';

export const sandboxInvoice = sandboxPages(SANDBOX_INVOICE_PATH);

sandboxInvoice.get('/:orderId', async (c) => {
  const language = languageOf(c);
  const order = await paidOrder(c.env, c.req.param('orderId'));
  if (order === null) return c.html(page(<UnknownPage language={language} />), 404);
  return c.html(page(<InvoicePage order={order} language={language} />));
});

async function paidOrder(env: Env, orderId: string): Promise<PaymentOrder | null> {
  if (!config(env).development || !isId('order', orderId)) return null;
  const order = await findOrder(database(env), orderId);
  return order?.provider === SANDBOX && order.state === 'paid' ? order : null;
}

function InvoicePage({ order, language }: { order: PaymentOrder; language: Language }) {
  const words = WORDS[language];
  const amount = amountOf(order, language);
  const paidAt = new Date(order.paidAtMs!)
    .toISOString()
    .replace('T', ' ')
    .slice(0, 'yyyy-mm-dd hh:mm'.length);
  return (
    <Shell language={language} title={words.invoiceTitle}>
      <p class="alert alert-soft alert-warning" role="note">
        {words.invoiceNotice}
      </p>
      <dl>
        <dt class="text-sm">{words.number}</dt>
        <dd class="break-all font-mono text-sm">{order.id}</dd>
        <dt class="mt-2 text-sm">{words.date}</dt>
        <dd>{paidAt}</dd>
      </dl>
      <table class="sheet">
        <thead>
          <tr>
            <th scope="col">{words.item}</th>
            <th scope="col" class="num">
              {order.currency}
            </th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <td>{words.credit}</td>
            <td class="num">{amount}</td>
          </tr>
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{words.total}</th>
            <td class="num">{amount}</td>
          </tr>
        </tfoot>
      </table>
      <p class="print:hidden">
        <BackLink language={language} />
      </p>
    </Shell>
  );
}
