/** zxcvbn with its lists: how soon a password is guessed. This module is half a megabyte, so it is only loaded lazily. */
import { ZxcvbnFactory } from '@zxcvbn-ts/core';
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common';

const zxcvbn = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs });
const leaked = new Set<string | number>(dictionary['passwords-common']);

/**
 * zxcvbn's scale is 0 to 4. A password below 2 is found within a million guesses, which a patient attacker has even
 * where attempts are limited.
 */
const SCORE_MIN = 2;

/** @param words that whoever guesses the password knows, in lower case */
export function isGuessedFirst(password: string, words: readonly string[]): boolean {
  // as it is hashed: full-width letters of a leaked password are that password
  const hashed = password.normalize('NFKC');
  return leaked.has(hashed.toLowerCase()) || zxcvbn.check(hashed, [...words]).score < SCORE_MIN;
}
