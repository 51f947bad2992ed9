/** Keyed hashes: identifiers that are stable for us and from which nobody without KEY_PEPPER can recover the input. */

import { config, type Env } from '../env.ts';
import { acceptedPeppers, pepperKey } from '../tokens/pepper.ts';

/** HMAC-SHA-256 of a text under KEY_PEPPER, as 64 hex digits. */
export async function keyedHash(env: Env, text: string): Promise<string> {
  const message = new TextEncoder().encode(text);
  return hex(await crypto.subtle.sign('HMAC', (await pepperKey(config(env))).hmac, message));
}

/** The same under every other pepper that is accepted: what an earlier or a later pepper made of the text. */
export async function otherKeyedHashes(env: Env, text: string): Promise<string[]> {
  const message = new TextEncoder().encode(text);
  const [, ...others] = await acceptedPeppers(config(env));
  return Promise.all(others.map(async ({ hmac }) => hex(await crypto.subtle.sign('HMAC', hmac, message))));
}

export function hex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
