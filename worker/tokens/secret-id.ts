/** Names of secrets: what a stored value says of the secret under which it was made, without revealing anything of it. */
import { createHash } from 'node:crypto';

/** 12 hex digits of the secret's SHA-256. The secret has 128 bits or more, so the digits do not help to guess it. */
export function secretId(secret: string): string {
  return createHash('sha256').update(`tollgate secret ${secret}`).digest('hex').slice(0, 12);
}

/** The name as a number of 31 bits: better-auth's version of a secret. */
export function secretVersion(secret: string): number {
  return Number.parseInt(secretId(secret).slice(0, 8), 16) >>> 1;
}
