/**
 * Devices that a person has signed in from: their browser keeps a signed cookie. Others' wrong guesses slow down
 * networks that guess, never such a device, whose own guesses are counted apart. The signature covers the password's
 * hash, so another password makes every device unknown until it signs in again.
 */
import { parse, serialize } from 'hono/utils/cookie';
import { database } from '../db/client.ts';
import { findPasswordHash } from '../db/people.ts';
import { config, type Env } from '../env.ts';
import { acceptedSecrets } from '../lib/rotation.ts';

/** People who share a browser and are remembered in it, the latest first. */
const PEOPLE_MAX = 5;
const YEAR_S = 31_536_000;

type Who = { readonly email: string } | { readonly personId: string };

/** @returns the id of the device if the person has signed in from it; null: it is not known */
export async function knownDevice(env: Env, headers: Headers, who: Who): Promise<string | null> {
  const entries = entriesOf(env, headers);
  // without the cookie nothing is looked up: the answer to a stranger takes as long for unknown addresses
  if (entries.length === 0) return null;
  const found = await findPasswordHash(database(env), who);
  if (found === null) return null;
  const entry = entries.find(({ personId }) => personId === found.personId);
  if (entry === undefined) return null;
  const isRight = await isSigned(env, entry, found.passwordHash);
  return isRight ? entry.deviceId : null;
}

/** @returns the `Set-Cookie` value that makes the device known as the person's */
export async function rememberDevice(env: Env, headers: Headers, personId: string): Promise<string> {
  const others = entriesOf(env, headers).filter((entry) => entry.personId !== personId);
  const found = await findPasswordHash(database(env), { personId });
  const deviceId = crypto.randomUUID();
  const mac = Buffer.from(await sign(env, { personId, deviceId }, found?.passwordHash ?? '')).toString(
    'base64url',
  );
  const kept = [{ personId, deviceId, mac }, ...others].slice(0, PEOPLE_MAX);
  const value = kept.map((entry) => `${entry.personId}.${entry.deviceId}.${entry.mac}`).join('~');
  const secure = isHttps(env);
  return serialize(cookieName(env), value, {
    path: '/',
    httpOnly: true,
    secure,
    sameSite: 'Lax',
    maxAge: YEAR_S,
  });
}

interface Entry {
  readonly personId: string;
  readonly deviceId: string;
  readonly mac: string;
}

function entriesOf(env: Env, headers: Headers): Entry[] {
  const name = cookieName(env);
  const value = parse(headers.get('cookie') ?? '', name)[name] ?? '';
  return value
    .split('~')
    .slice(0, PEOPLE_MAX)
    .map((text) => text.split('.'))
    .filter((parts) => parts.length === 3)
    .map(([personId = '', deviceId = '', mac = '']) => ({ personId, deviceId, mac }));
}

async function isSigned(env: Env, entry: Entry, passwordHash: string): Promise<boolean> {
  const mac = Buffer.from(entry.mac, 'base64url');
  const { authSecret, beside } = config(env);
  for (const secret of acceptedSecrets(authSecret, beside.AUTH_SECRET)) {
    if (await crypto.subtle.verify('HMAC', await macKey(secret), mac, message(entry, passwordHash)))
      return true;
  }
  return false;
}

async function sign(env: Env, entry: Omit<Entry, 'mac'>, passwordHash: string): Promise<ArrayBuffer> {
  return crypto.subtle.sign('HMAC', await macKey(config(env).authSecret), message(entry, passwordHash));
}

function message({ personId, deviceId }: Omit<Entry, 'mac'>, passwordHash: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(['known device', personId, deviceId, passwordHash]));
}

function macKey(secret: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(secret);
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
}

function isHttps(env: Env): boolean {
  return config(env).publicOrigin.startsWith('https://');
}

function cookieName(env: Env): string {
  return isHttps(env) ? '__Host-tollgate.device' : 'tollgate.device';
}
