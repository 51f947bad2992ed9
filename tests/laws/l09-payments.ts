/** L9: payments that succeeded = credits; an event credits at most once; a refund or dispute debits. */

import type { EntryRow, Law, World } from './world.ts';
import { findings, groupBy } from './world-views.ts';

interface AccountEntry {
  readonly accountId: string;
  readonly row: EntryRow;
}

export const payments: Law = (world) => {
  const entries = world.accounts.flatMap(({ accountId, entry }) =>
    (entry ?? []).map((row): AccountEntry => ({ accountId, row })),
  );
  const credits = groupBy(
    entries.filter(({ row }) => row.kind === 'top_up'),
    ({ row }) => row.reference,
  );
  return [...creditedOnce(world, credits), ...eventsOnce(world), ...reversals(world, entries)];
};

function creditedOnce(world: World, credits: ReadonlyMap<string, AccountEntry[]>) {
  const { found, report, equal } = findings('L9');
  const atProvider = world.payments?.map((payment) => ({ ...payment, paid: payment.succeeded }));
  const inD1 = world.d1?.payment_order?.map((order) => ({
    orderId: order.id,
    accountId: order.account_id,
    amountNanoUsd: order.amount_nano_usd,
    paid: order.state === 'paid',
  }));
  for (const orders of [atProvider, inD1]) {
    if (!orders) continue;
    const ordersById = new Map(orders.map((order) => [order.orderId, order]));
    for (const [orderId, [credit, ...more]] of credits) {
      const order = ordersById.get(orderId);
      if (more.length > 0) report(orderId, `was credited ${more.length + 1} times`);
      if (!order) report(orderId, 'was credited and is no order');
      // D1 records a payment after the Wallet has.
      else if (!order.paid && (orders === atProvider || world.final))
        report(orderId, 'was credited and not paid');
      else {
        equal(orderId, 'its credit', credit!.row.paid_nano_usd, order.amountNanoUsd);
        equal(orderId, 'the account it was credited to', credit!.accountId, order.accountId);
      }
    }
    const everyWallet = world.accounts.every(({ entry }) => entry !== undefined);
    for (const { orderId, paid: wasPaid } of orders)
      if (wasPaid && everyWallet && !credits.has(orderId) && (world.final || orders === inD1))
        report(orderId, 'was paid and not credited');
  }
  return found;
}

function eventsOnce({ d1 }: World) {
  const { found, report } = findings('L9');
  for (const [event, rows] of groupBy(d1?.payment_event ?? [], (row) => `${row.provider} ${row.event_id}`))
    if (rows.length > 1) report(event, `was acted on ${rows.length} times`);
  return found;
}

/** An amount that the provider took back left the account, or is owed. */
function reversals(world: World, entries: readonly AccountEntry[]) {
  const { found, report, equal } = findings('L9');
  const corrections = world.d1?.payment_correction;
  if (!corrections) return found;
  const movedNanoUsd = new Map(
    entries
      .filter(({ row }) => row.kind === 'correction')
      .map(({ row }) => [row.reference, row.granted_nano_usd + row.paid_nano_usd]),
  );
  for (const { order_id, seq, amount_nano_usd, uncollected_nano_usd } of corrections) {
    const reference = `${order_id}/${seq}`;
    if (uncollected_nano_usd !== null)
      equal(
        reference,
        'what it moved',
        movedNanoUsd.get(reference) ?? 0,
        amount_nano_usd + uncollected_nano_usd,
      );
    else if (world.final) report(reference, 'never reached its Wallet');
  }
  if (!world.final) return found;
  for (const { orderId, reversedNanoUsd } of world.payments ?? []) {
    const sum = corrections
      .filter((correction) => correction.order_id === orderId)
      .reduce((total, correction) => total + correction.amount_nano_usd, 0);
    equal(orderId, 'what was taken back', 0 - sum, reversedNanoUsd ?? 0);
  }
  return found;
}
