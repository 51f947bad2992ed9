/** Every e-mail to a person in every language: HTML and text, with its link, and with names escaped. */
import { expect, it } from 'vitest';
import type { AccountEmail, AccountEmailKind } from '../../../worker/domain/account-email.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import { formats } from '../../../worker/i18n/formats.ts';
import { LOCALES, MESSAGES } from '../../../worker/i18n/locale.ts';
import { renderEmail } from '../../../worker/notifications/email/template.tsx';
import { accountEmailWords } from '../../../worker/notifications/email/wording.ts';

const url = 'https://tollgate.test/somewhere?token=a&next=b';
const name = '<img src=x onerror=alert(1)>\r\nBcc: all@evil.example, see www.evil.example';

const EMAILS: { [K in AccountEmailKind]: Extract<AccountEmail, { kind: K }> } = {
  verify: { kind: 'verify', url },
  sign_in: { kind: 'sign_in', url },
  reset: { kind: 'reset', url },
  invitation: { kind: 'invitation', url, role: 'billing', accountName: name },
  sign_in_changed: { kind: 'sign_in_changed', what: 'second_factor_off', url },
  receipt: { kind: 'receipt', url, invoice: 'TG-000042', amountNanoUsd: nanoUsd(20_000_000_000) },
};

const CASES = Object.values(EMAILS).flatMap((email) =>
  LOCALES.map((locale) => [email.kind, locale, email] as const),
);

it.each(CASES)('%s in %s', (_, locale, email) => {
  const language = { t: MESSAGES[locale], f: formats(locale) };
  const { subject, html, text } = renderEmail([
    { locale, ...accountEmailWords(email, language, { verified: false }) },
  ]);
  expect(subject).toMatch(/^\S[^\r\n]*\S$/);
  expect(text).toContain(url);
  expect(html).toContain(`href="${url.replace('&', '&amp;')}"`);
  expect(html).toContain(`lang="${locale}"`);
  expect(html).not.toContain('<img');
  for (const part of [subject, html, text]) expect(part).not.toMatch(/undefined|\[object|NaN/);
  // French has a no-break space before a colon.
  if (locale === 'fr') expect(text).not.toMatch(/\p{L}:\s/u);
  // what an e-mail program makes a link of, beside our own
  const others = text.replaceAll(url, '').match(/\S+@\S+|https?:|www\.|[\p{L}\d-]\.[\p{L}\d]/gu) ?? [];
  expect(others.filter((each) => !/^\d\.\d$/.test(each))).toEqual([]);
});

it('has a subject of its own in each language', () => {
  for (const email of Object.values(EMAILS)) {
    const subjects = LOCALES.map((locale) => {
      const words = accountEmailWords(email, { t: MESSAGES[locale], f: formats(locale) }, { verified: true });
      return renderEmail([{ locale, ...words }]).subject;
    });
    expect(new Set(subjects).size).toBe(LOCALES.length);
  }
});
