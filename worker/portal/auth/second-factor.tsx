/** Sets up the second factor in two steps, and turns it off. The secret is shown once, after the password was typed. */
import { Hono } from 'hono';
import { raw } from 'hono/html';
import { renderSVG } from 'uqr';
import { beginSecondFactor, confirmSecondFactor, endSecondFactor } from '../../identity/second-factor.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, typedFields } from '../frame/form.ts';
import { signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { setCookies } from '../frame/set-cookies.ts';
import { carrySecret, takeSecret } from '../frame/shown-once.ts';

const PATH = '/settings/second-factor';

export const secondFactorPage = new Hono<PortalEnv>();

secondFactorPage.use(signedIn);

secondFactorPage.get('/', (c) => askPassword(c));

secondFactorPage.post('/', async (c) => {
  const { password = '' } = await typedFields(c);
  const person = c.get('person')!;
  const { headers } = c.req.raw;
  if (person.twoFactor) {
    const request = { password, person, locale: words(c).locale, headers, nowMs: Date.now() };
    const cookies = await endSecondFactor(c.env, request);
    if (cookies === null) return askPassword(c, { password: 'password_wrong' });
    setCookies(c, cookies);
    return c.redirect('/settings?done=off', 303);
  }
  const begun = await beginSecondFactor(c.env, { password, headers });
  if (begun === null) return askPassword(c, { password: 'password_wrong' });
  const note = begun.backupCodes.join(' ');
  await carrySecret(c, { kind: 'second_factor', subject: person.id, text: begun.uri, note });
  return c.redirect(`${PATH}/confirm`, 303);
});

secondFactorPage.get('/confirm', async (c) => {
  const secret = await takeSecret(c, { kind: 'second_factor', subject: c.get('person')!.id });
  return askCode(c, { secret });
});

secondFactorPage.post('/confirm', async (c) => {
  const { code = '' } = await typedFields(c);
  const cookies = await confirmSecondFactor(c.env, {
    code: code.replaceAll(' ', ''),
    person: c.get('person')!,
    locale: words(c).locale,
    headers: c.req.raw.headers,
    nowMs: Date.now(),
  });
  if (cookies === null) return askCode(c, { secret: null, faults: { code: 'code_wrong' } });
  setCookies(c, cookies);
  return c.redirect('/settings?done=on', 303);
});

function askPassword(c: PortalContext, faults?: Faults) {
  const { t } = words(c);
  const names = t.people.settings;
  const isOn = c.get('person')!.twoFactor;
  return page(
    c,
    { title: names.secondFactor, narrow: true, status: faults ? 422 : 200 },
    <>
      <h1 class="mb-2">{names.secondFactor}</h1>
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

/**
 * The page that shows the secret and asks for a code. Opened again, it no longer has the secret: then either the app
 * has it, or the person starts over.
 */
function askCode(
  c: PortalContext,
  state: { secret: { text: string; note: string } | null; faults?: Faults },
) {
  const names = words(c).t.people.settings;
  const { secret, faults } = state;
  return page(
    c,
    { title: names.scanTitle, narrow: true, status: faults ? 422 : 200, back: PATH },
    <>
      <h1 class="mb-4">{names.scanTitle}</h1>
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
          <p class="muted mb-2 text-sm">{names.codesLead}</p>
          <ul class="mb-8 grid grid-cols-2 gap-x-6 font-mono text-sm" data-codes>
            {secret.note.split(' ').map((code) => (
              <li>{code}</li>
            ))}
          </ul>
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
            {words(c).t.people.again}
          </a>
        </div>
      </form>
    </>,
  );
}
