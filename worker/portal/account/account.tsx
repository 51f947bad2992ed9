/** The account as a whole: renaming it, exporting all its data, and closing it. */
import { Hono } from 'hono';
import * as z from 'zod';
import { exportAccount } from '../../archive/export.ts';
import { closeAccount, forgetPerson, renameAccount } from '../../db/account-end.ts';
import { addAudit } from '../../db/audit.ts';
import { database } from '../../db/client.ts';
import { signOut } from '../../identity/session.ts';
import { rememberTrial } from '../../identity/trial.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, Name, readForm, typedFields } from '../frame/form.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { show as showTeam } from './team.tsx';

const NameForm = z.object({ accountName: Name });

export const accountPage = new Hono<PortalEnv>();

/** The page after closing an account. It stands before the guard, because nobody is signed in any more. */
accountPage.get('/closed', (c) => {
  const names = words(c).t.people.settings;
  return page(
    c,
    { title: names.closedTitle, narrow: true, back: '/' },
    <>
      <h1 class="mb-3">{names.closedTitle}</h1>
      <p>{names.closed}</p>
    </>,
  );
});

accountPage.use(signedIn, allowed('account'));

accountPage.post('/name', async (c) => {
  const read = await readForm(c, NameForm);
  if (!read.ok) return showTeam(c, read);
  const name = read.values.accountName;
  const accountId = c.get('accountId');
  const entry = { ...auditEntry(c), action: 'account.renamed', subject: accountId, detail: { name } };
  await renameAccount(database(c.env), { accountId, name, entry });
  return c.redirect('/team?done=saved', 303);
});

accountPage.get('/export', async (c) => {
  const db = database(c.env);
  const accountId = c.get('accountId');
  await addAudit(db, { ...auditEntry(c), action: 'account.exported', subject: accountId, detail: {} });
  const rows = exportAccount(c.env, accountId);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await rows.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
    },
  });
  return new Response(body, {
    headers: {
      'content-type': 'application/x-ndjson; charset=utf-8',
      'content-disposition': 'attachment; filename="tollgate-account.ndjson"',
    },
  });
});

accountPage.get('/close', (c) => askToClose(c));

accountPage.post('/close', async (c) => {
  const { email = '' } = await typedFields(c);
  const person = c.get('person')!;
  if (email.toLowerCase() !== person.email.toLowerCase()) return askToClose(c, { email: 'confirm_email' });
  const db = database(c.env);
  const accountId = c.get('accountId');
  const entry = { ...auditEntry(c), action: 'account.closed', subject: accountId, detail: {} };
  await rememberTrial(c.env, { accountId, email: person.email, nowMs: entry.atMs });
  await closeAccount(db, { accountId, nowMs: entry.atMs, entry });
  setCookies(c, await signOut(c.env, c.req.raw.headers));
  await forgetPerson(db, person.id);
  return c.redirect('/account/closed', 303);
});

/** The part of an audit entry that all actions of this page share. */
function auditEntry(c: PortalContext) {
  return { atMs: Date.now(), actor: c.get('person')!.id, accountId: c.get('accountId') };
}

async function askToClose(c: PortalContext, faults?: Faults) {
  const { t, f } = words(c);
  const names = t.people.settings;
  const accountId = c.get('accountId');
  const { accountName } = c.get('memberships').find((each) => each.accountId === accountId)!;
  const { paidNanoUsd } = await c.env.WALLET.getByName(accountId).balance();
  return page(
    c,
    { title: names.closeTitle, narrow: true, status: faults ? 422 : 200 },
    <>
      <h1 class="mb-3">{names.closeTitle}</h1>
      <p class="mb-6 break-words">{names.closeLead(accountName)}</p>
      {paidNanoUsd > 0 && <Callout tone="warning">{names.closeBalance(f.usd(paidNanoUsd))}</Callout>}
      <form method="post" class="grid gap-5" novalidate>
        <TextField c={c} faults={faults} name="email" label={names.closeConfirm} type="email" required />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-error" type="submit">
            {names.close}
          </button>
          <a class="btn" href="/settings">
            {names.keep}
          </a>
        </div>
      </form>
    </>,
  );
}
