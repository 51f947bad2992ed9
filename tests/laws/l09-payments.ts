/** L9: payments that succeeded = credits; an event credits at most once; a refund or dispute debits. */
import { findings, groupBy } from './books.ts';
import type { EntryRow, Law, World } from './world.ts';

interface Owned {
  readonly accountId: string;
  readonly row: EntryRow;
}

export const payments: Law = (world) => {
  const entries = world.accounts.flatMap(({ accountId, entry }) =>
    (entry ?? []).map((row): Owned => ({ accountId, row })),
  );
  const credits = groupBy(
    entries.filter(({ row }) => row.kind === 'top_up'),
    ({ row }) => row.reference,
  );
  return [...creditedOnce(world, credits), ...eventsOnce(world), ...reversals(world, entries)];
};

function creditedOnce(world: World, credits: ReadonlyMap<string, Owned[]>) {
  const { found, say, equal } = findings('L9');
  const known = world.payments?.map((payment) => ({ ...payment, paid: payment.succeeded }));
  const booked = world.d1?.payment_order?.map((order) => ({
    orderId: order.id,
    accountId: order.account_id,
    amountNanoUsd: order.amount_nano_usd,
    paid: order.state === 'paid',
  }));
  for (const orders of [known, booked]) {
    if (!orders) continue;
    const paid = new Map(orders.map((order) => [order.orderId, order]));
    for (const [orderId, [credit, ...more]] of credits) {
      const order = paid.get(orderId);
      if (more.length > 0) say(orderId, `was credited ${more.length + 1} times`);
      if (!order) say(orderId, 'was credited and is no order');
      // D1 learns of a payment after the Wallet
      else if (!order.paid && (orders === known || world.final)) say(orderId, 'was credited and not paid');
      else {
        equal(orderId, 'its credit', credit!.row.paid_nano_usd, order.amountNanoUsd);
        equal(orderId, 'the account it was credited to', credit!.accountId, order.accountId);
      }
    }
    const everyWallet = world.accounts.every(({ entry }) => entry !== undefined);
    for (const { orderId, paid: wasPaid } of orders)
      if (wasPaid && everyWallet && !credits.has(orderId) && (world.final || orders === booked))
        say(orderId, 'was paid and not credited');
  }
  return found;
}

function eventsOnce({ d1 }: World) {
  const { found, say } = findings('L9');
  for (const [event, rows] of groupBy(d1?.payment_event ?? [], (row) => `${row.provider} ${row.event_id}`))
    if (rows.length > 1) say(event, `was acted on ${rows.length} times`);
  return found;
}

/** What the provider took back left the account, or is owed. */
function reversals(world: World, entries: readonly Owned[]) {
  const { found, say, equal } = findings('L9');
  const steps = world.d1?.payment_correction;
  if (!steps) return found;
  const moved = new Map(
    entries
      .filter(({ row }) => row.kind === 'correction')
      .map(({ row }) => [row.reference, row.granted_nano_usd + row.paid_nano_usd]),
  );
  for (const { order_id, seq, amount_nano_usd, uncollected_nano_usd } of steps) {
    const reference = `${order_id}/${seq}`;
    if (uncollected_nano_usd !== null)
      equal(reference, 'what it moved', moved.get(reference) ?? 0, amount_nano_usd + uncollected_nano_usd);
    else if (world.final) say(reference, 'was never told to its Wallet');
  }
  if (!world.final) return found;
  for (const { orderId, reversedNanoUsd } of world.payments ?? []) {
    const sum = steps
      .filter((step) => step.order_id === orderId)
      .reduce((total, step) => total + step.amount_nano_usd, 0);
    equal(orderId, 'what was taken back', 0 - sum, reversedNanoUsd ?? 0);
  }
  return found;
}
