/** The sections of the settings page, one per topic. */
import { LOCALE_NAMES, LOCALES } from '../../i18n/locale.ts';
import { passwordHint } from '../auth/password-hint.ts';
import { SelectField, TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';
import { mayWrite } from '../frame/guard.ts';

interface SectionProps {
  readonly c: PortalContext;
  readonly typed?: Typed;
  readonly faults?: Faults;
}

export function ProfileSection(fields: SectionProps) {
  const { c } = fields;
  const { t, locale } = words(c);
  const names = t.people.settings;
  const person = c.get('person')!;
  return (
    <section aria-labelledby="profile">
      <h2 id="profile" class="mb-4">
        {names.profile}
      </h2>
      <p class="mb-4 break-words">
        {person.email}{' '}
        <span class={`badge badge-sm badge-soft ${person.emailVerified ? 'badge-success' : 'badge-warning'}`}>
          {person.emailVerified ? names.verified : names.unverified}
        </span>
      </p>
      {!person.emailVerified && (
        <form method="post" action="/settings/verify" class="mb-6">
          <button class="btn btn-sm" type="submit">
            {names.verify}
          </button>
        </form>
      )}
      <form method="post" action="/settings/profile" class="grid gap-5" novalidate>
        <TextField {...fields} name="name" label={names.name} value={person.name} autocomplete="name" />
        <SelectField
          {...fields}
          name="language"
          label={names.language}
          value={locale}
          options={LOCALES.map((each) => [each, LOCALE_NAMES[each]])}
        />
        <div>
          <button class="btn btn-primary" type="submit">
            {names.save}
          </button>
        </div>
      </form>
    </section>
  );
}

/** The form that changes the password. A person who signed up with GitHub has none, and is shown how to set one. */
export function PasswordSection({ hasPassword, ...fields }: SectionProps & { hasPassword: boolean }) {
  const { c } = fields;
  const { t } = words(c);
  const names = t.people.settings;
  return (
    <section aria-labelledby="password-section">
      <h2 id="password-section" class="mb-4">
        {names.password}
      </h2>
      {hasPassword ? (
        <form method="post" action="/settings/password" class="grid gap-5" novalidate>
          <p>{names.passwordLead}</p>
          <TextField
            {...fields}
            name="current"
            label={names.current}
            type="password"
            autocomplete="current-password"
          />
          <TextField
            {...fields}
            name="password"
            label={names.next}
            hint={passwordHint(c)}
            type="password"
            autocomplete="new-password"
          />
          <div>
            <button class="btn" type="submit">
              {names.changePassword}
            </button>
          </div>
        </form>
      ) : (
        <p>
          {names.noPassword}{' '}
          <a class="link" href="/reset-password">
            {t.people.reset.title}
          </a>
        </p>
      )}
    </section>
  );
}

/** The second factor is switched behind the password, so only a person with a password can switch it. */
export function SecondFactorSection({ c, hasPassword }: { c: PortalContext; hasPassword: boolean }) {
  const names = words(c).t.people.settings;
  const person = c.get('person')!;
  return (
    <section aria-labelledby="second-factor">
      <h2 id="second-factor" class="mb-4">
        {names.secondFactor}
      </h2>
      <p class="mb-4">{person.twoFactor ? names.secondFactorOn : names.secondFactorOff}</p>
      {hasPassword && (
        <a class="btn" href="/settings/second-factor">
          {person.twoFactor ? names.manage : names.begin}
        </a>
      )}
    </section>
  );
}

/** Export and end of the account, for roles that may do that. */
export function DataSection({ c }: { c: PortalContext }) {
  const names = words(c).t.people.settings;
  return (
    <section aria-labelledby="data">
      <h2 id="data" class="mb-4">
        {names.data}
      </h2>
      {mayWrite(c, 'account') ? (
        <>
          <p class="mb-4">{names.exportLead}</p>
          <div class="flex flex-wrap gap-3">
            <a class="btn" href="/account/export" download>
              {names.export}
            </a>
            <a class="btn btn-error btn-outline" href="/account/close">
              {names.closeNext}
            </a>
          </div>
        </>
      ) : (
        <p>{names.notOwner}</p>
      )}
    </section>
  );
}
