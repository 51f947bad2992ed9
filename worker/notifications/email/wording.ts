/** A letter to a person in words. */
import type { Post, PostKind } from '../../domain/account-email.ts';
import type { Words } from '../../i18n/words.ts';
import type { LetterPart } from './template.tsx';

type Of<K extends PostKind> = Extract<Post, { kind: K }>;
type Language = Pick<Words, 't' | 'f'>;
type Said = Omit<LetterPart, 'locale'>;

/** @param to.verified whether the address is known to be the person's */
export function postWords(post: Post, language: Language, to: { verified: boolean }): Said {
  const say = SAID[post.kind] as (post: Post, language: Language, to: { verified: boolean }) => Said;
  return say(post, language, to);
}

const SAID: { [K in PostKind]: (post: Of<K>, language: Language, to: { verified: boolean }) => Said } = {
  verify: ({ url }, { t: { letters } }) => plain(letters.verify, url),
  reset: ({ url }, { t: { letters } }) => plain(letters.reset, url),
  sign_in: ({ url }, { t: { letters } }, { verified }) => {
    const said = plain(letters.signIn, url);
    return verified ? said : { ...said, paragraphs: [...said.paragraphs, letters.signIn.unverified] };
  },
  invitation: ({ url, role, accountName, invitedBy }, { t: { letters, team } }) => {
    const { title, text, link, small } = letters.invitation;
    const roleName = (team.roles as Partial<Record<string, string>>)[role] ?? role;
    return plain({ title, text: text(invitedBy, accountName, roleName), link, small }, url);
  },
  sign_in_changed: ({ what, url }, { t: { letters } }) => {
    const said = letters.signInChanged;
    return plain({ ...said, text: said.what[what] }, url);
  },
  receipt: ({ url, invoice, amountNanoUsd }, { t: { letters }, f }) => {
    const { title, text, link, small } = letters.receipt;
    const amount = f.usd(amountNanoUsd);
    return plain({ title: title(amount), text: text(amount, invoice), link, small }, url);
  },
};

function plain(said: { title: string; text: string; link: string; small: string }, url: string): Said {
  const { title, text, link, small } = said;
  return { title, paragraphs: [text], link: { text: link, url }, small };
}
