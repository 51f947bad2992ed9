/** The provider says that a card was saved: the account has it from now on, in the place of the last one. */
import { findAutoRecharge, keepCard } from '../db/auto-recharge.ts';
import { database } from '../db/client.ts';
import { addEvent } from '../db/payments.ts';
import type { Env } from '../env.ts';
import type { CardSavedEvent, PaymentProvider } from './provider.ts';

/**
 * Only for the account whose customer it is: what else an event may say of who owns a card is not believed.
 * Broken off anywhere, the redelivery goes on: forgetting and keeping are the same twice.
 */
export async function applyCardSaved(
  env: Env,
  provider: PaymentProvider,
  { event, nowMs }: { event: CardSavedEvent; nowMs: number },
): Promise<'saved' | 'customer_mismatch'> {
  const db = database(env);
  const { accountId, customerRef, methodRef, methodLabel, eventId } = event;
  const row = await findAutoRecharge(db, accountId);
  if (row?.provider !== provider.name || row.customerRef !== customerRef) return 'customer_mismatch';
  if (row.methodRef !== null && row.methodRef !== methodRef) await provider.forgetCard(row.methodRef);
  await keepCard(db, { accountId, provider: provider.name, customerRef, methodRef, methodLabel, nowMs });
  await addEvent(db, { provider: provider.name, eventId, orderId: accountId, receivedAtMs: nowMs });
  return 'saved';
}
