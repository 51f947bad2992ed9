/** Sets up the second factor in two steps, and turns it off. The secret is shown once, after the password was typed. */
import { Hono } from 'hono';
import { raw } from 'hono/html';
import { renderSVG } from 'uqr';
import {
  beginSecondFactor,
  confirmSecondFactor,
  endSecondFactor,
  renewBackupCodes,
} from '../../identity/second-factor.ts';
import { TextField } from '../components/field.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, typedFields } from '../frame/form.ts';
import { signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { carrySecret, takeSecret } from '../frame/shown-once.ts';
import { changedBy } from './changed-by.ts';

const PATH = '/settings/second-factor';

export const secondFactorPage = new Hono<PortalEnv>();

secondFactorPage.use(signedIn);

secondFactorPage.get('/', (c) => askPassword(c));

secondFactorPage.post('/', async (c) => {
  const { password = '' } = await typedFields(c);
  const change = { ...changedBy(c), password };
  if (change.person.twoFactor) {
    const ended = await endSecondFactor(c.env, change);
    if (!ended.ok) return askPassword(c, ended);
    setCookies(c, ended.value);
    return c.redirect('/settings?done=off', 303);
  }
  const begun = await beginSecondFactor(c.env, change);
  if (!begun.ok) return askPassword(c, begun);
  const note = begun.value.backupCodes.join(' ');
  const subject = change.person.id;
  await carrySecret(c, { kind: 'second_factor', subject, text: begun.value.uri, note });
  return c.redirect(`${PATH}/confirm`, 303);
});

secondFactorPage.get('/confirm', async (c) => {
  const secret = await takeSecret(c, { kind: 'second_factor', subject: c.get('person')!.id });
  return askCode(c, { secret });
});

secondFactorPage.post('/confirm', async (c) => {
  const { code = '' } = await typedFields(c);
  const confirmed = await confirmSecondFactor(c.env, { ...changedBy(c), code: code.replaceAll(' ', '') });
  if (!confirmed.ok) return askCode(c, { secret: null, refused: confirmed });
  setCookies(c, confirmed.value);
  return c.redirect('/settings?done=on', 303);
});

secondFactorPage.post('/codes', async (c) => {
  const { password = '' } = await typedFields(c);
  const change = { ...changedBy(c), password };
  const renewed = await renewBackupCodes(c.env, change);
  if (!renewed.ok) return askPassword(c, renewed);
  const subject = change.person.id;
  await carrySecret(c, { kind: 'backup_codes', subject, text: renewed.value.join(' '), note: '' });
  return c.redirect(`${PATH}/codes`, 303);
});

secondFactorPage.get('/codes', async (c) => {
  const names = words(c).t.people.settings;
  const secret = await takeSecret(c, { kind: 'backup_codes', subject: c.get('person')!.id });
  if (secret === null) return c.redirect(PATH, 303);
  return page(
    c,
    { title: names.codes, narrow: true, back: PATH },
    <>
      <h1 class="mb-2">{names.codes}</h1>
      <BackupCodes c={c} codes={secret.text.split(' ')} />
      <a class="btn" href="/settings">
        {names.title}
      </a>
    </>,
  );
});

/** A refusal of a password or code: it is wrong, or has to wait. */
type Refused = { readonly retryAfterMs: number };

/** With the factor on the form has two buttons: one turns it off, the other makes new backup codes. */
function askPassword(c: PortalContext, refused?: Refused) {
  const { t } = words(c);
  const names = t.people.settings;
  const isOn = c.get('person')!.twoFactor;
  const { faults, status, waitMs } = stateOf(refused, { password: 'password_wrong' });
  return page(
    c,
    { title: names.secondFactor, narrow: true, status, back: PATH },
    <>
      <h1 class="mb-2">{names.secondFactor}</h1>
      {waitMs > 0 && <TooManyAttempts c={c} waitMs={waitMs} />}
      <p class="mb-6">{isOn ? names.secondFactorOn : names.secondFactorOff}</p>
      <form method="post" action={PATH} class="grid gap-5" novalidate>
        <TextField
          c={c}
          faults={faults}
          name="password"
          label={names.current}
          type="password"
          autocomplete="current-password"
          required
        />
        <div class="flex flex-wrap gap-3">
          {isOn && (
            <button class="btn btn-primary" type="submit" formaction={`${PATH}/codes`}>
              {names.renewCodes}
            </button>
          )}
          <button class={`btn ${isOn ? 'btn-error' : 'btn-primary'}`} type="submit">
            {isOn ? names.end : names.begin}
          </button>
          <a class="btn" href="/settings">
            {t.keys.cancel}
          </a>
        </div>
      </form>
    </>,
  );
}

function stateOf(refused: Refused | undefined, wrong: Faults) {
  if (!refused) return { status: 200, waitMs: 0 } as const;
  const waitMs = refused.retryAfterMs;
  return waitMs > 0 ? ({ status: 429, waitMs } as const) : ({ status: 422, waitMs, faults: wrong } as const);
}

function BackupCodes({ c, codes }: { c: PortalContext; codes: readonly string[] }) {
  return (
    <>
      <p class="muted mb-2 text-sm">{words(c).t.people.settings.codesLead}</p>
      <ul class="mb-8 grid gap-x-6 font-mono text-sm sm:grid-cols-2" data-codes>
        {codes.map((code) => (
          <li>{code}</li>
        ))}
      </ul>
    </>
  );
}

/**
 * The page that shows the secret and asks for a code. Opened again, it no longer has the secret: then either the app
 * has it, or the person starts over.
 */
function askCode(
  c: PortalContext,
  state: { secret: { text: string; note: string } | null; refused?: Refused },
) {
  const names = words(c).t.people.settings;
  const { secret } = state;
  const { faults, status, waitMs } = stateOf(state.refused, { code: 'code_wrong' });
  return page(
    c,
    { title: names.scanTitle, narrow: true, status, back: PATH },
    <>
      <h1 class="mb-4">{names.scanTitle}</h1>
      {waitMs > 0 && <TooManyAttempts c={c} waitMs={waitMs} />}
      {!secret && <p class="mb-6">{names.scanned}</p>}
      {secret && (
        <>
          <p class="mb-4">{names.scan}</p>
          <figure class="mb-4 w-52 rounded-box bg-white p-3" role="img" aria-label={names.qr}>
            {raw(renderSVG(secret.text, { border: 0 }))}
          </figure>
          <p class="muted text-sm">{names.secret}</p>
          <p class="mb-6 font-mono text-sm break-all select-all" data-secret>
            {new URL(secret.text).searchParams.get('secret')}
          </p>
          <h2 class="mb-1">{names.codes}</h2>
          <BackupCodes c={c} codes={secret.note.split(' ')} />
        </>
      )}
      <form method="post" action={`${PATH}/confirm`} class="grid gap-5" novalidate>
        <TextField
          c={c}
          faults={faults}
          name="code"
          label={names.confirmCode}
          inputmode="numeric"
          autocomplete="one-time-code"
          required
        />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-primary" type="submit">
            {names.confirm}
          </button>
          <a class="btn" href={PATH}>
            {names.startOver}
          </a>
        </div>
      </form>
    </>,
  );
}
