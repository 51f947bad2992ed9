/** Parts of prompts that every check makes anew, so that none finds what another has left in the cache. */
import { randomBytes } from 'node:crypto';

/** A word that no earlier prompt had, so that no prefix of it is cached. */
export function freshWord(): string {
  return randomBytes(8).toString('hex');
}

export function freshSalt(): string {
  return randomBytes(16).toString('hex');
}

export function user(content: string): { role: 'user'; content: string }[] {
  return [{ role: 'user', content }];
}
