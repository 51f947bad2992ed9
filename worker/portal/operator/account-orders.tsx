/** Forms that an operator confirms by typing the account's name: grant credit, suspend, resume. */
import type { LimitedAccount } from '../../db/account-limits.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

interface OrderProps {
  readonly c: PortalContext;
  readonly account: LimitedAccount;
  readonly typed?: Typed;
  readonly faults?: Faults;
}

/** Grants credit. The grant's id is made with the form, so that a form that is sent twice grants once. */
export function GrantSection({ c, account, ...fields }: OrderProps) {
  const names = words(c).t.customers;
  return (
    <section aria-labelledby="grant" class="mb-10 max-w-3xl">
      <h2 id="grant" class="mb-1">
        {names.grantTitle}
      </h2>
      <p class="muted mb-4 text-sm">{names.grantNote}</p>
      <form
        method="post"
        action={`/operator/accounts/${account.id}/grants`}
        class="grid items-start gap-5 sm:grid-cols-2"
        novalidate
      >
        <input type="hidden" name="grantId" value={fields.typed?.grantId ?? crypto.randomUUID()} />
        <TextField c={c} {...fields} name="amount" label={names.grantAmount} inputmode="decimal" required />
        <TextField c={c} {...fields} name="note" label={names.grantWhy} required />
        <div class="sm:col-span-2">
          <TextField
            c={c}
            {...fields}
            name="confirmGrant"
            label={names.confirm(account.email ?? account.id)}
            required
          />
        </div>
        <div class="sm:col-span-2">
          <button class="btn btn-primary" type="submit">
            {names.grantSubmit}
          </button>
        </div>
      </form>
    </section>
  );
}

export function SuspendSection({ c, account, ...fields }: OrderProps) {
  const names = words(c).t.customers;
  const isSuspended = account.suspendedAtMs !== null;
  return (
    <section aria-labelledby="suspend" class="mb-10 max-w-3xl">
      <h2 id="suspend" class="mb-1">
        {isSuspended ? names.resumeTitle : names.suspendTitle}
      </h2>
      <p class="muted mb-4 text-sm">{isSuspended ? names.resumeNote : names.suspendNote}</p>
      <form
        method="post"
        action={`/operator/accounts/${account.id}/${isSuspended ? 'resume' : 'suspend'}`}
        class="grid items-start gap-5 sm:max-w-md"
        novalidate
      >
        <TextField
          c={c}
          {...fields}
          name="confirmState"
          label={names.confirm(account.email ?? account.id)}
          required
        />
        <div>
          <button class={`btn ${isSuspended ? 'btn-primary' : 'btn-error'}`} type="submit">
            {isSuspended ? names.resumeSubmit : names.suspendSubmit}
          </button>
        </div>
      </form>
    </section>
  );
}
