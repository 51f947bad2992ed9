/** Sign-in with GitHub: which of a profile's e-mail addresses and names are used. */
import { isVisible, NAME_LENGTH_MAX } from './name.ts';

export interface GithubProfile {
  /** Stays the same when the login changes. */
  readonly id: number;
  readonly login: string;
  readonly name: string | null;
}

export interface GithubEmail {
  readonly email: string;
  readonly primary: boolean;
  readonly verified: boolean;
}

/** GitHub's stand-in for a private address on commits; e-mail to it is not delivered. */
const NO_REPLY = /@users\.noreply\.github\.com$/i;

/**
 * The primary address if it is verified, else the first verified one; null: none is. A profile's public address is not
 * used, since GitHub does not verify it.
 */
export function confirmedEmail(emails: readonly GithubEmail[]): string | null {
  const confirmed = emails.filter(({ email, verified }) => verified && !NO_REPLY.test(email));
  return (confirmed.find(({ primary }) => primary) ?? confirmed[0])?.email ?? null;
}

/** The profile's name, or the login when that name would not be accepted here. */
export function nameOf({ name, login }: GithubProfile): string {
  const text = name?.normalize('NFC').trim() ?? '';
  return text !== '' && isVisible(text) && [...text].length <= NAME_LENGTH_MAX ? text : login;
}
