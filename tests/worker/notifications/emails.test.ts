/** Every letter to a person, in every language: as HTML and as text, with its link, and with nobody's name as markup. */
import { expect, it } from 'vitest';
import type { AccountEmail, AccountEmailKind } from '../../../worker/domain/account-email.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import { formats } from '../../../worker/i18n/formats.ts';
import { LOCALES, MESSAGES } from '../../../worker/i18n/locale.ts';
import { renderEmail } from '../../../worker/notifications/email/template.tsx';
import { accountEmailWords } from '../../../worker/notifications/email/wording.ts';

const url = 'https://tollgate.test/somewhere?token=a&next=b';
const name = '<img src=x onerror=alert(1)>\r\nBcc: all@example.com';

const POSTS: { [K in AccountEmailKind]: Extract<AccountEmail, { kind: K }> } = {
  verify: { kind: 'verify', url },
  sign_in: { kind: 'sign_in', url },
  reset: { kind: 'reset', url },
  invitation: { kind: 'invitation', url, role: 'billing', accountName: name, invitedBy: 'a@example.com' },
  sign_in_changed: { kind: 'sign_in_changed', what: 'second_factor_off', url },
  receipt: { kind: 'receipt', url, invoice: 'TG-000042', amountNanoUsd: nanoUsd(20_000_000_000) },
};

const CASES = Object.values(POSTS).flatMap((post) =>
  LOCALES.map((locale) => [post.kind, locale, post] as const),
);

it.each(CASES)('%s in %s', (_, locale, post) => {
  const language = { t: MESSAGES[locale], f: formats(locale) };
  const { subject, html, text } = renderEmail([
    { locale, ...accountEmailWords(post, language, { verified: false }) },
  ]);
  expect(subject).toMatch(/^\S[^\r\n]*\S$/);
  expect(text).toContain(url);
  expect(html).toContain(`href="${url.replace('&', '&amp;')}"`);
  expect(html).toContain(`lang="${locale}"`);
  expect(html).not.toContain('<img');
  for (const written of [subject, html, text]) expect(written).not.toMatch(/undefined|\[object|NaN/);
});

it('has words of its own in each language', () => {
  for (const post of Object.values(POSTS)) {
    const subjects = LOCALES.map((locale) => {
      const said = accountEmailWords(post, { t: MESSAGES[locale], f: formats(locale) }, { verified: true });
      return renderEmail([{ locale, ...said }]).subject;
    });
    expect(new Set(subjects).size).toBe(LOCALES.length);
  }
});
