/**
 * The page on which an operator resets the second factor of a person of a customer's account. It asks for the reason and
 * for the person's e-mail address, so that nobody is reset by a slip.
 */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { listTeam } from '../../db/customers.ts';
import { isId } from '../../domain/ids.ts';
import { resetSecondFactor } from '../../identity/reset-second-factor.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, Line, readForm, type Typed } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { operatorNav } from './operator-nav.tsx';

const ResetForm = z.object({ reason: Line(500), confirmEmail: z.string().default('') });
const PATH = '/accounts/:accountId/people/:personId/second-factor';

export const resetSecondFactorPage = new Hono<PortalEnv>();

resetSecondFactorPage.use(operator);

resetSecondFactorPage.get(PATH, async (c) => {
  const which = c.req.param();
  const email = await emailOf(c, which);
  return email === null ? notFoundPage(c) : ask(c, { ...which, email });
});

resetSecondFactorPage.post(PATH, async (c) => {
  const which = c.req.param();
  const email = await emailOf(c, which);
  if (email === null) return notFoundPage(c);
  const read = await readForm(c, ResetForm);
  if (!read.ok) return ask(c, { ...which, email, ...read });
  const { typed, values } = read;
  if (values.confirmEmail.toLowerCase() !== email.toLowerCase())
    return ask(c, { ...which, email, typed, faults: { confirmEmail: 'confirm_person' } });
  const order = { ...which, reason: values.reason, actor: c.get('person')!.id, nowMs: Date.now() };
  const reset = await resetSecondFactor(c.env, order);
  if (!reset.ok) return ask(c, { ...which, email, typed, faults: { confirmEmail: reset.fault } });
  return c.redirect(`/operator/accounts/${which.accountId}?factor`, 303);
});

/** The address of a member of the account; null: there is none with this id. */
async function emailOf(
  c: PortalContext,
  { accountId, personId }: { accountId: string; personId: string },
): Promise<string | null> {
  const team = isId('acct', accountId) ? await listTeam(database(c.env), accountId) : [];
  return team.find((each) => each.personId === personId)?.email ?? null;
}

async function ask(
  c: PortalContext,
  state: { accountId: string; email: string; typed?: Typed; faults?: Faults },
) {
  const names = words(c).t.customers;
  const { accountId, email, ...fields } = state;
  const back = `/operator/accounts/${accountId}`;
  return page(
    c,
    { title: names.resetFactor, narrow: true, status: fields.faults ? 422 : 200, back },
    <>
      {await operatorNav(c, '/operator/accounts')}
      <h1 class="mb-2">{names.resetFactor}</h1>
      <p class="mb-6 break-words">{names.resetFactorLead(email)}</p>
      <form method="post" class="grid gap-5" novalidate>
        <TextField c={c} {...fields} name="reason" label={names.resetFactorWhy} required />
        <TextField c={c} {...fields} name="confirmEmail" label={names.resetFactorConfirm(email)} required />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-error" type="submit">
            {names.resetFactor}
          </button>
          <a class="btn" href={back}>
            {words(c).t.keys.cancel}
          </a>
        </div>
      </form>
    </>,
  );
}
