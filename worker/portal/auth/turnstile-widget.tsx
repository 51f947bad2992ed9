/** Turnstile's widget in a form: Cloudflare's script puts it into the element and its token into the form. */
import { config } from '../../env.ts';
import { SIGN_UP_ACTION, TURNSTILE_ORIGIN } from '../../identity/turnstile.ts';
import { type PortalContext, words } from '../frame/context.ts';

export function TurnstileWidget({ c }: { c: PortalContext }) {
  const { turnstile } = config(c.env);
  if (turnstile === null) return null;
  const { t, locale } = words(c);
  return (
    <div>
      <script src={`${TURNSTILE_ORIGIN}/turnstile/v0/api.js`} async defer />
      <div
        class="cf-turnstile min-h-[65px]"
        data-sitekey={turnstile.siteKey}
        data-action={SIGN_UP_ACTION}
        data-language={locale}
      />
      <noscript>
        <p>{t.signUp.needsScript}</p>
      </noscript>
    </div>
  );
}
