/** Callouts at the top of the billing page: the outcome of the page the person returns from, and any debt. */
import type { AutoRecharge } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import { findOrder } from '../../db/payments.ts';
import { isId } from '../../domain/ids.ts';
import type { Balance } from '../../domain/wallet.ts';
import { Callout } from '../components/callout.tsx';
import { type PortalContext, words } from '../frame/context.ts';

/**
 * The callout for a person who returns from a payment or a form, as the query names it. The database decides whether
 * an order or a card is really in the state that the query claims.
 */
export async function returnCallout(c: PortalContext, rule: AutoRecharge | null) {
  const { t } = words(c);
  const orderId = c.req.query('order');
  if (orderId && isId('order', orderId)) return orderCallout(c, orderId);
  const outcome = c.req.query('top_up');
  if (outcome === 'paid') return <Callout tone="success">{t.billing.arrivedNotice}</Callout>;
  if (outcome === 'declined') return <Callout tone="warning">{t.billing.declinedNotice}</Callout>;
  const card = c.req.query('card');
  if (card === 'saved' && rule?.methodRef)
    return <Callout tone="success">{t.billing.cardNotice.saved}</Callout>;
  if (card === 'saved') return <Callout tone="info">{t.billing.cardNotice.pending}</Callout>;
  if (card === 'removed' && !rule?.methodRef)
    return <Callout tone="success">{t.billing.cardNotice.removed}</Callout>;
  const recharge = c.req.query('recharge');
  if ((recharge === 'on' || recharge === 'off') && (recharge === 'on') === (rule?.enabled ?? false))
    return <Callout tone="success">{t.billing.rechargeNotice[recharge]}</Callout>;
  return null;
}

async function orderCallout(c: PortalContext, orderId: string) {
  const { t, f } = words(c);
  const order = await findOrder(database(c.env), orderId);
  if (order?.accountId !== c.get('accountId')) return null;
  if (order.state === 'paid')
    return <Callout tone="success">{t.billing.paidNotice(f.usd(order.amountNanoUsd))}</Callout>;
  if (order.state === 'closed')
    return <Callout tone="error">{t.billing.droppedNotice(f.usd(order.amountNanoUsd))}</Callout>;
  return (
    <Callout tone="info">
      {t.billing.openNotice(f.usd(order.amountNanoUsd))}{' '}
      <a class="link" href={`/billing?order=${order.id}`}>
        {t.billing.checkAgain}
      </a>
    </Callout>
  );
}

export function OwedCallout({ c, balance }: { c: PortalContext; balance: Balance }) {
  const { t, f } = words(c);
  if (balance.owedNanoUsd === 0) return null;
  const [head, beyondCents, tail] = f.usdExact(balance.owedNanoUsd);
  return <Callout tone="warning">{t.billing.owed(head + beyondCents + tail)}</Callout>;
}
