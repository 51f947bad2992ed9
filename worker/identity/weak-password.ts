/**
 * Refuses passwords that are guessed first: the most common ones, what is made of them by a digit, a capital or a
 * pattern of keys, and the person's own words. zxcvbn knows the patterns, and 49,000 leaked passwords by frequency.
 * It is loaded when a password is set, and never at sign-in.
 */
import { database } from '../db/client.ts';
import { membershipsOf } from '../db/team.ts';
import { isMadeOf, ownWords } from '../domain/password.ts';
import type { Env } from '../env.ts';

/** Keys of the dictionary's `faults`. */
export type WeakPassword = 'password_common' | 'password_own_words';

/** @param person whose password it is to be; without an id they do not exist yet and have no accounts */
export async function weakPassword(
  env: Env,
  password: string,
  person: { id?: string; email: string; name: string },
): Promise<WeakPassword | null> {
  const { id, email, name } = person;
  const memberships = id === undefined ? [] : await membershipsOf(database(env), id);
  const words = ownWords({ email, name, accountNames: memberships.map(({ accountName }) => accountName) });
  if (isMadeOf(words, password)) return 'password_own_words';
  const { isGuessedFirst } = await import('./password-estimate.ts');
  return isGuessedFirst(password, words) ? 'password_common' : null;
}
