/** The callout of an account whose trial credit is still to come: what to do for it, or how long to wait. */
import { config } from '../../env.ts';
import { type PortalContext, words } from '../frame/context.ts';
import { Callout } from './callout.tsx';

export function TrialCallout({ c }: { c: PortalContext }) {
  const { t, f } = words(c);
  const pending = c.get('pendingTrial');
  if (pending === null) return null;
  const amount = f.usd(config(c.env).trialGrantNanoUsd);
  if (pending === 'waiting') return <Callout tone="info">{t.trial.waiting(amount)}</Callout>;
  return (
    <Callout tone="warning">
      <p class="mb-3 break-words">{t.trial.unconfirmed(amount, c.get('person')!.email)}</p>
      <form method="post" action="/settings/verify">
        <button class="btn btn-sm" type="submit">
          {t.trial.sendAgain}
        </button>
      </form>
    </Callout>
  );
}
