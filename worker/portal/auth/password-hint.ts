/** The hint beside the field of a new password. */
import { PASSWORD_LENGTH_MIN } from '../../identity/auth.ts';
import { type PortalContext, words } from '../frame/context.ts';

export function passwordHint(c: PortalContext): string {
  return words(c).t.signUp.passwordHint(PASSWORD_LENGTH_MIN);
}
