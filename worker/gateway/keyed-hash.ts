/** HMAC-SHA-256 under KEY_PEPPER, 64 hex digits: names a thing for us without telling anybody what it is. */

import { config, type Env } from '../env.ts';
import { pepperKey } from '../tokens/pepper.ts';

export async function keyedHash(env: Env, text: string): Promise<string> {
  const message = new TextEncoder().encode(text);
  return hex(await crypto.subtle.sign('HMAC', await pepperKey(config(env)), message));
}

export function hex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
