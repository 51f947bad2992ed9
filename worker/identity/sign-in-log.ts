/** Lines of the security log about how people prove who they are. */
import type { Env } from '../env.ts';
import { logSecurity } from '../lib/security-log.ts';
import { networkMark } from '../rate-limits/attempts.ts';

/** The proof of a sign-in: a password, a code of the second factor, a link of an e-mail, an account at GitHub, or nothing yet. */
export type SignInMeans = 'password' | 'code' | 'link' | 'github' | 'sign_up';

type Outcome = { ok: true; person: { id: string } | null } | { ok: false; refusal: { reason: string } };

/** Logs the outcome of a step of signing in, and passes it on. A right password with the code still to come is a refusal, too. */
export async function logSignIn<Result extends Outcome>(
  env: Env,
  by: SignInMeans,
  headers: Headers,
  step: Promise<Result>,
): Promise<Result> {
  const result = await step;
  const network = await networkMark(env, headers);
  if (!result.ok) logSecurity('sign_in_refused', { by, reason: result.refusal.reason, network });
  else if (result.person === null) logSecurity('sign_in_refused', { by, reason: 'second_factor', network });
  else logSecurity(by === 'sign_up' ? 'signed_up' : 'signed_in', { by, person: result.person.id, network });
  return result;
}
