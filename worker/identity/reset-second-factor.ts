/**
 * Turns off a second factor that a person has lost, after they have proved to the operator who they are. An operator's own
 * factor opens every account, so only the token that is set at deployment resets it.
 */
import { database } from '../db/client.ts';
import { DEPLOY_TOKEN_ACTOR } from '../db/operator-tokens.ts';
import { findSecondFactorHolder, removeSecondFactor } from '../db/second-factor.ts';
import { config, type Env } from '../env.ts';
import { LOCALES } from '../i18n/locale.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';

export type SecondFactorReset =
  | { ok: true; sessionsEnded: number }
  | { ok: false; fault: 'second_factor_is_off' | 'second_factor_of_operator' };

/**
 * Takes effect at once, ends the person's sessions and tells them by e-mail. The password is not changed.
 * @param order.reason why the operator believes that it is the person who asks; it is kept in the audit trail
 * @param order.accountId the account whose audit trail shows it; absent: only the operators' does
 */
export async function resetSecondFactor(
  env: Env,
  order: { personId: string; reason: string; actor: string; accountId?: string; nowMs: number },
): Promise<SecondFactorReset> {
  const { personId, reason, actor, accountId, nowMs: atMs } = order;
  const db = database(env);
  const holder = await findSecondFactorHolder(db, personId);
  if (!holder?.twoFactor) return { ok: false, fault: 'second_factor_is_off' };
  const mayBeOperator = actor === DEPLOY_TOKEN_ACTOR;
  if (holder.role === 'operator' && !mayBeOperator) return { ok: false, fault: 'second_factor_of_operator' };
  const action = 'person.second_factor_reset';
  const entry = { atMs, actor, action, subject: personId, detail: { reason }, accountId };
  const sessionsEnded = await removeSecondFactor(db, { personId, mayBeOperator, entry });
  // another call turned it off, or the person became an operator, since it was read: asking again says which
  if (sessionsEnded === null) return { ok: false, fault: 'second_factor_is_off' };
  const post = {
    kind: 'sign_in_changed',
    what: 'second_factor_reset',
    url: `${config(env).publicOrigin}/settings`,
  } as const;
  await sendAccountEmail(env, { to: holder.email, locale: LOCALES[0], post }, atMs);
  return { ok: true, sessionsEnded };
}
