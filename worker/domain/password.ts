/** The words that a person's password must not be made of: those that an attacker knows already. */

/** Shorter parts of a name or an address are found in passwords by chance. */
const WORD_LENGTH_MIN = 3;
/** Letters and digits that a password must have beside the person's own words. */
const OTHERS_MIN = 8;

const NOT_ALPHANUMERIC = /[^\p{L}\p{N}]+/u;

/** The form in which words and passwords are compared. */
function plain(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/**
 * The person's own words, the longest first: parts of the e-mail address without its top-level domain, of their name
 * and of their accounts' names, and this site's name.
 */
export function ownWords(person: { email: string; name: string; accountNames: readonly string[] }): string[] {
  const [local = '', domain = ''] = plain(person.email).split('@');
  const labels = domain.split('.').slice(0, -1);
  const texts = [local, ...labels, ...[person.name, ...person.accountNames].map(plain)];
  const parts = texts.flatMap((text) => [
    text,
    text.split(NOT_ALPHANUMERIC).join(''),
    ...text.split(NOT_ALPHANUMERIC),
  ]);
  const words = new Set(['tollgate', ...parts.filter((word) => word.length >= WORD_LENGTH_MIN)]);
  return [...words].sort((a, b) => b.length - a.length);
}

/** Whether the password is one of the words with little beside it, such as `ada.lovelace1815`. */
export function isMadeOf(words: readonly string[], password: string): boolean {
  const whole = plain(password);
  // each word is cut out with a mark in its place, so that what stands on both sides of it does not form another
  const rest = words.reduce((text, word) => text.replaceAll(word, '\0'), whole);
  if (rest === whole) return false;
  const others = rest
    .split('\0')
    .flatMap((text) => text.split(NOT_ALPHANUMERIC))
    .join('');
  return [...others].length < OTHERS_MIN;
}
