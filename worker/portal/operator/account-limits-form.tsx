/** The form that shows and sets the limits of a whole account. */
import type { LimitedAccount } from '../../db/account-limits.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

export function AccountLimitsForm(props: {
  c: PortalContext;
  account: LimitedAccount;
  typed?: Typed;
  faults?: Faults;
}) {
  const { c, account, ...fields } = props;
  const { t } = words(c);
  const names = t.operator.accounts;
  return (
    <section aria-labelledby="limits" class="mb-10 max-w-3xl">
      <h2 id="limits" class="mb-1">
        {names.limitsTitle}
      </h2>
      <p class="muted mb-4 text-sm">{names.limitsNote}</p>
      <form
        method="post"
        action={`/operator/accounts/${account.id}`}
        class="grid items-start gap-5 sm:grid-cols-3"
        novalidate
      >
        <TextField
          c={c}
          {...fields}
          name="requestsPerMinute"
          label={names.requestsPerMinute}
          value={String(account.requestsPerMinute)}
          inputmode="numeric"
          required
        />
        <TextField
          c={c}
          {...fields}
          name="tokensPerMinute"
          label={names.tokensPerMinute}
          hint={names.tokensHint}
          value={account.tokensPerMinute === null ? '' : String(account.tokensPerMinute)}
          inputmode="numeric"
        />
        <TextField
          c={c}
          {...fields}
          name="concurrency"
          label={names.concurrency}
          value={String(account.concurrency)}
          inputmode="numeric"
          required
        />
        <div class="sm:col-span-3">
          <button class="btn btn-primary" type="submit">
            {names.save}
          </button>
        </div>
      </form>
    </section>
  );
}
