/** An account e-mail in the person's language. */
import type { AccountEmail, AccountEmailKind } from '../../domain/account-email.ts';
import { emailSafe } from '../../domain/email-text.ts';
import type { Words } from '../../i18n/words.ts';
import type { EmailContent } from './template.tsx';

type Of<K extends AccountEmailKind> = Extract<AccountEmail, { kind: K }>;
type Language = Pick<Words, 't' | 'f'>;
type Content = Omit<EmailContent, 'locale'>;
type Wording<K extends AccountEmailKind> = (
  email: Of<K>,
  language: Language,
  to: { verified: boolean },
) => Content;

/** @param to.verified whether the address is known to be the person's */
export function accountEmailWords(
  email: AccountEmail,
  language: Language,
  to: { verified: boolean },
): Content {
  const word = WORDING[email.kind] as Wording<AccountEmailKind>;
  return word(email, language, to);
}

const WORDING: { [K in AccountEmailKind]: Wording<K> } = {
  verify: ({ url }, { t: { emails } }) => plain(emails.verify, url),
  reset: ({ url }, { t: { emails } }) => plain(emails.reset, url),
  sign_in: ({ url }, { t: { emails } }, { verified }) => {
    const content = plain(emails.signIn, url);
    return verified ? content : { ...content, paragraphs: [...content.paragraphs, emails.signIn.unverified] };
  },
  invitation: ({ url, role, accountName }, { t: { emails, team } }) => {
    const { title, text, link, small } = emails.invitation;
    const roleName = (team.roles as Partial<Record<string, string>>)[role] ?? role;
    return plain({ title, text: text(emailSafe(accountName), roleName), link, small }, url);
  },
  sign_in_changed: ({ what, url }, { t: { emails } }) => {
    const texts = emails.signInChanged;
    return plain({ ...texts, text: texts.what[what] }, url);
  },
  receipt: ({ url, invoice, amountNanoUsd }, { t: { emails }, f }) => {
    const { title, text, link, small } = emails.receipt;
    const amount = f.usd(amountNanoUsd);
    return plain({ title: title(amount), text: text(amount, invoice), link, small }, url);
  },
};

function plain(texts: { title: string; text: string; link: string; small: string }, url: string): Content {
  const { title, text, link, small } = texts;
  return { title, paragraphs: [text], link: { text: link, url }, small };
}
