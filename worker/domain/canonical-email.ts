/**
 * The canonical form of an e-mail address: one text for all spellings that reach the same inbox, so that what is given
 * once, or counted, for an inbox cannot be had again under another spelling. E-mails are sent to the address as typed.
 */

/** Domains that deliver to the inbox of the same name at another domain. */
const SAME_INBOX: Readonly<Record<string, string>> = {
  'googlemail.com': 'gmail.com',
  'protonmail.com': 'proton.me',
  'pm.me': 'proton.me',
  'me.com': 'icloud.com',
  'mac.com': 'icloud.com',
  'protonmail.ch': 'proton.me',
  'ya.ru': 'yandex.ru',
  'yandex.by': 'yandex.ru',
  'yandex.com': 'yandex.ru',
  'yandex.kz': 'yandex.ru',
};

/** Domains of Yahoo, where `name-label` reaches the same inbox as any other label: its names have no hyphen. */
const HYPHEN_LABELS = /^(?:yahoo\.(?:com?\.)?[a-z]{2,3}|ymail\.com|rocketmail\.com)$/;

/** Domains that deliver `label@name.domain` to `name@domain`. */
const NAME_IN_DOMAIN = /^([^.]+)\.(fastmail\.(?:com|fm))$/;

/** Characters of the local part that a domain ignores. */
const IGNORED: Readonly<Record<string, RegExp>> = {
  'gmail.com': /\./g,
  'proton.me': /[._-]/g,
};

/** @param email an address as a person typed it; a text without `@` comes back in lower case */
export function canonicalEmail(email: string): string {
  const text = email.trim().normalize('NFKC').toLowerCase();
  const at = text.lastIndexOf('@');
  if (at < 0) return text;
  const typedDomain = asciiDomain(text.slice(at + 1));
  const named = NAME_IN_DOMAIN.exec(typedDomain);
  if (named) return `${named[1]}@${named[2]}`;
  const domain = SAME_INBOX[typedDomain] ?? typedDomain;
  // what follows a plus is the reader's own label, at every large provider
  const [plain = ''] = text.slice(0, at).split(HYPHEN_LABELS.test(domain) ? /[+-]/ : '+');
  const local = plain.replace(IGNORED[domain] ?? /$^/, '');
  // an address that consists of a label only would share its canonical form with all others of its kind
  return `${local === '' ? text.slice(0, at) : local}@${domain}`;
}

/** The domain as DNS knows it: international letters in Punycode, without the dot of the root. */
function asciiDomain(domain: string): string {
  const bare = domain.replace(/\.$/, '');
  return URL.canParse(`http://${bare}/`) ? new URL(`http://${bare}/`).hostname : bare;
}
