/** Whom GitHub vouches for: of what it says about a person, what counts here. */
import { NAME_LENGTH_MAX, PRINTABLE } from './name.ts';

export interface GithubProfile {
  /** does not change when the login does */
  readonly id: number;
  readonly login: string;
  readonly name: string | null;
}

export interface GithubEmail {
  readonly email: string;
  readonly primary: boolean;
  readonly verified: boolean;
}

/** Stands in for a private address on commits; letters to it arrive nowhere. */
const NO_REPLY = /@users\.noreply\.github\.com$/i;

/** The primary address if it is confirmed, else the first that is; null: none is. The public one of a profile proves nothing. */
export function confirmedEmail(emails: readonly GithubEmail[]): string | null {
  const confirmed = emails.filter(({ email, verified }) => verified && !NO_REPLY.test(email));
  return (confirmed.find(({ primary }) => primary) ?? confirmed[0])?.email ?? null;
}

/** The name on the profile, unless it is none that could be typed here: then the login. */
export function nameOf({ name, login }: GithubProfile): string {
  const typed = name?.trim() ?? '';
  return typed !== '' && typed.length <= NAME_LENGTH_MAX && PRINTABLE.test(typed) ? typed : login;
}
