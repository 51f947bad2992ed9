/** The account as a whole: renaming it, exporting all its data, and closing it. */
import { Hono } from 'hono';
import * as z from 'zod';
import { exportAccount } from '../../archive/export.ts';
import { closeAccount, renameAccount } from '../../db/account-end.ts';
import { addAudit } from '../../db/audit.ts';
import { database } from '../../db/client.ts';
import { eraseClosedAccount } from '../../identity/erase-account.ts';
import { type Proof, type ProofNeeded, proofNeeded, provePerson } from '../../identity/prove-person.ts';
import { signOut } from '../../identity/session.ts';
import { rememberTrial } from '../../identity/trial.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, Name, readForm, type Typed, typedFields } from '../frame/form.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { whileAllowed } from '../frame/long-download.ts';
import { limitDownloads } from '../frame/rate-limits.tsx';
import { clearBrowser, setCookies } from '../frame/set-cookies.ts';
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
accountPage.use('/export', limitDownloads);

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
  return new Response(whileAllowed(c, 'account', body), {
    headers: {
      'content-type': 'application/x-ndjson; charset=utf-8',
      'content-disposition': 'attachment; filename="tollgate-account.ndjson"',
    },
  });
});

accountPage.get('/close', (c) => askToClose(c, {}));

accountPage.post('/close', async (c) => {
  const { email = '', password = '', code = '' } = await typedFields(c);
  const person = c.get('person')!;
  const typed = { email };
  if (email.toLowerCase() !== person.email.toLowerCase())
    return askToClose(c, { typed, faults: { email: 'confirm_email' } });
  const { headers } = c.req.raw;
  const proof = await provePerson(c.env, { ...atBrowser(c), password, code, headers });
  if (!proof.ok) return askToClose(c, { typed, ...refusalOf(proof) });
  const db = database(c.env);
  const accountId = c.get('accountId');
  const entry = { ...auditEntry(c), action: 'account.closed', subject: accountId, detail: {} };
  await rememberTrial(c.env, { accountId, email: person.email, nowMs: entry.atMs });
  await closeAccount(db, { accountId, nowMs: entry.atMs, entry });
  setCookies(c, await signOut(c.env, headers));
  clearBrowser(c);
  await eraseClosedAccount(c.env, accountId);
  return c.redirect('/account/closed', 303);
});

/** Signs out and leads back by the sign-in page: a person without a password proves themselves by a new sign-in. */
accountPage.post('/close/sign-in', async (c) => {
  setCookies(c, await signOut(c.env, c.req.raw.headers));
  clearBrowser(c);
  return c.redirect('/sign-in?next=/account/close', 303);
});

function atBrowser(c: PortalContext) {
  return { person: c.get('person')!, sessionId: c.get('sessionId'), nowMs: Date.now() };
}

interface CloseState {
  readonly typed?: Typed;
  readonly faults?: Faults;
  readonly waitMs?: number;
}

function refusalOf(proof: Extract<Proof, { ok: false }>): CloseState {
  switch (proof.fault) {
    case 'too_many_attempts':
      return { waitMs: proof.retryAfterMs };
    case 'password_wrong':
      return { faults: { password: proof.fault } };
    case 'code_wrong':
      return { faults: { code: proof.fault } };
    case 'sign_in_needed':
      return { faults: {} };
  }
}

/** The part of an audit entry that all actions of this page share. */
function auditEntry(c: PortalContext) {
  return { atMs: Date.now(), actor: c.get('person')!.id, accountId: c.get('accountId') };
}

async function askToClose(c: PortalContext, { waitMs = 0, ...state }: CloseState) {
  const { t, f } = words(c);
  const names = t.people.settings;
  const accountId = c.get('accountId');
  const { accountName } = c.get('memberships').find((each) => each.accountId === accountId)!;
  const [{ paidNanoUsd }, needed] = await Promise.all([
    c.env.WALLET.getByName(accountId).balance(),
    proofNeeded(c.env, atBrowser(c)),
  ]);
  return page(
    c,
    { title: names.closeTitle, narrow: true, status: waitMs > 0 ? 429 : state.faults ? 422 : 200 },
    <>
      <h1 class="mb-3">{names.closeTitle}</h1>
      <p class="mb-3 break-words">{names.closeLead(accountName)}</p>
      <p class="mb-6">
        {names.closeKept}{' '}
        <a class="link" href="/privacy#retention">
          {t.legal.privacy}
        </a>
      </p>
      {paidNanoUsd > 0 && <Callout tone="warning">{names.closeBalance(f.usd(paidNanoUsd))}</Callout>}
      {waitMs > 0 && <TooManyAttempts c={c} waitMs={waitMs} />}
      {needed.by === 'sign_in' ? <SignInAgain c={c} /> : <CloseForm c={c} {...state} needed={needed} />}
    </>,
  );
}

function CloseForm({ needed, ...state }: CloseState & { c: PortalContext; needed: ProofNeeded }) {
  const { c } = state;
  const names = words(c).t.people.settings;
  const fields = { ...state, required: true };
  return (
    <form method="post" class="grid gap-5" novalidate>
      <TextField {...fields} name="email" label={names.closeConfirm} type="email" />
      {needed.by === 'password' && (
        <TextField
          {...fields}
          name="password"
          label={names.password}
          type="password"
          autocomplete="current-password"
        />
      )}
      {needed.code && (
        <TextField
          {...fields}
          name="code"
          label={names.closeCode}
          inputmode="numeric"
          autocomplete="one-time-code"
        />
      )}
      <div class="flex flex-wrap gap-3">
        <button class="btn btn-error" type="submit">
          {names.close}
        </button>
        <a class="btn" href="/settings">
          {names.keep}
        </a>
      </div>
    </form>
  );
}

function SignInAgain({ c }: { c: PortalContext }) {
  const names = words(c).t.people.settings;
  return (
    <form method="post" action="/account/close/sign-in" class="grid gap-5">
      <p>{names.closeSignIn}</p>
      <div class="flex flex-wrap gap-3">
        <button class="btn btn-primary" type="submit">
          {names.closeSignInNext}
        </button>
        <a class="btn" href="/settings">
          {names.keep}
        </a>
      </div>
    </form>
  );
}
