/** Applies a provider's `card_saved` event: the account has the new card from now on, in place of the last one. */
import { findAutoRecharge, saveCard } from '../db/auto-recharge.ts';
import { database } from '../db/client.ts';
import { addEvent } from '../db/payments.ts';
import type { Env } from '../env.ts';
import type { CardSavedEvent, PaymentProvider } from './provider.ts';

/**
 * Saves the card if its customer is the account's own; anything else that an event says about a card's owner is not
 * trusted. If it breaks off anywhere, the redelivery completes it: forgetting and saving a card can be repeated.
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
  await saveCard(db, { accountId, provider: provider.name, customerRef, methodRef, methodLabel, nowMs });
  await addEvent(db, { provider: provider.name, eventId, orderId: accountId, receivedAtMs: nowMs });
  return 'saved';
}
