/** A letter to a person in words. */
import type { AccountEmail, AccountEmailKind } from '../../domain/account-email.ts';
import type { Words } from '../../i18n/words.ts';
import type { EmailContent } from './template.tsx';

type Of<K extends AccountEmailKind> = Extract<AccountEmail, { kind: K }>;
type Language = Pick<Words, 't' | 'f'>;
type Said = Omit<EmailContent, 'locale'>;

/** @param to.verified whether the address is known to be the person's */
export function accountEmailWords(post: AccountEmail, language: Language, to: { verified: boolean }): Said {
  const say = SAID[post.kind] as (post: AccountEmail, language: Language, to: { verified: boolean }) => Said;
  return say(post, language, to);
}

const SAID: {
  [K in AccountEmailKind]: (post: Of<K>, language: Language, to: { verified: boolean }) => Said;
} = {
  verify: ({ url }, { t: { emails } }) => plain(emails.verify, url),
  reset: ({ url }, { t: { emails } }) => plain(emails.reset, url),
  sign_in: ({ url }, { t: { emails } }, { verified }) => {
    const said = plain(emails.signIn, url);
    return verified ? said : { ...said, paragraphs: [...said.paragraphs, emails.signIn.unverified] };
  },
  invitation: ({ url, role, accountName, invitedBy }, { t: { emails, team } }) => {
    const { title, text, link, small } = emails.invitation;
    const roleName = (team.roles as Partial<Record<string, string>>)[role] ?? role;
    return plain({ title, text: text(invitedBy, accountName, roleName), link, small }, url);
  },
  sign_in_changed: ({ what, url }, { t: { emails } }) => {
    const said = emails.signInChanged;
    return plain({ ...said, text: said.what[what] }, url);
  },
  receipt: ({ url, invoice, amountNanoUsd }, { t: { emails }, f }) => {
    const { title, text, link, small } = emails.receipt;
    const amount = f.usd(amountNanoUsd);
    return plain({ title: title(amount), text: text(amount, invoice), link, small }, url);
  },
};

function plain(said: { title: string; text: string; link: string; small: string }, url: string): Said {
  const { title, text, link, small } = said;
  return { title, paragraphs: [text], link: { text: link, url }, small };
}
