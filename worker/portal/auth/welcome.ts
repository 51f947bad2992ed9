/** Completes a sign-up: makes an account with a first key, and with its trial credit if that is due, or leads on to the invitation. */
import { database } from '../../db/client.ts';
import { createKey } from '../../db/keys.ts';
import { config } from '../../env.ts';
import { ensureAccount, type Person } from '../../identity/account.ts';
import { settleTrialOfConfirmed } from '../../identity/trial.ts';
import { pepperKey } from '../../tokens/pepper.ts';
import { type PortalContext, words } from '../frame/context.ts';
import { carrySecret } from '../frame/shown-once.ts';

/** The person exists already: if anything fails here, the next page that they open completes the account. */
export async function welcome(
  c: PortalContext,
  { person, next, nowMs }: { person: Person; next: string; nowMs: number },
): Promise<Response> {
  // an invited person joins an account and needs none of their own
  if (next.startsWith('/invitation/')) return c.redirect(next, 303);
  const accountId = await ensureAccount(c.env, person, nowMs);
  // GitHub has confirmed the address already
  if (person.emailVerified) await settleTrialOfConfirmed(c.env, person, nowMs);
  const name = words(c).t.signUp.firstKeyName;
  const made = await createKey(
    database(c.env),
    await pepperKey(config(c.env)),
    { accountId, name, nowMs },
    person.id,
  );
  if (made) await carrySecret(c, { kind: 'api_key', subject: accountId, text: made.key, note: name });
  return c.redirect('/start', 303);
}
