/**
 * The secrets under which second factors are encrypted. better-auth writes the number of a secret before what it encrypts, so the
 * database tells which rows are still under another AUTH_SECRET than the one in use.
 */
import { symmetricDecrypt, symmetricEncrypt } from 'better-auth/crypto';
import { and, count, eq, like, notLike, or } from 'drizzle-orm';
import { database } from '../db/client.ts';
import { personTwoFactor } from '../db/schema.ts';
import { type Config, config, type Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { acceptedSecrets, oldestSecret } from '../lib/rotation.ts';
import { secretVersion } from '../tokens/secret-id.ts';

/** better-auth's `secrets`, the one in use first, and `secret`, under which everything without a number was encrypted. */
export function authSecrets({ authSecret, beside }: Pick<Config, 'authSecret' | 'beside'>) {
  return {
    secret: oldestSecret(authSecret, beside.AUTH_SECRET),
    secrets: acceptedSecrets(authSecret, beside.AUTH_SECRET).map((value) => ({
      version: secretVersion(value),
      value,
    })),
  };
}

/** How better-auth marks what it encrypted: `$ba$`, the secret's number, `$`, and the text. */
const ENCRYPTED = /^\$ba\$\d+\$|^[0-9a-f]{80,}$/;

/** Rows without a number, and those under another secret that is still accepted. */
function isUnderOther(env: Env) {
  const [, ...others] = authSecrets(config(env)).secrets;
  return or(
    notLike(personTwoFactor.secret, '$ba$%'),
    ...others.flatMap(({ version }) => [
      like(personTwoFactor.secret, `$ba$${version}$%`),
      // a backup code that is used has the others encrypted anew, whatever the secret is under
      like(personTwoFactor.backupCodes, `$ba$${version}$%`),
    ]),
  );
}

export async function countOtherSecondFactors(env: Env): Promise<number> {
  const [row] = await database(env).select({ n: count() }).from(personTwoFactor).where(isUnderOther(env));
  return row?.n ?? 0;
}

/** Encrypts up to `limit` second factors anew, under the secret in use. @returns how many */
export async function encryptSecondFactorsAnew(env: Env, limit: number): Promise<number> {
  const db = database(env);
  const { secret: legacySecret, secrets } = authSecrets(config(env));
  const keys = new Map(secrets.map(({ version, value }) => [version, value]));
  const key = { keys, currentVersion: secrets[0]!.version, legacySecret };
  const anew = async (data: string) =>
    ENCRYPTED.test(data) ? symmetricEncrypt({ key, data: await symmetricDecrypt({ key, data }) }) : data;
  const rows = await db.select().from(personTwoFactor).where(isUnderOther(env)).limit(limit);
  let done = 0;
  for (const { id, secret, backupCodes } of rows) {
    try {
      const values = { secret: await anew(secret), backupCodes: await anew(backupCodes) };
      // a code that is used meanwhile changes the row, which then waits for the next call
      const unchanged = [eq(personTwoFactor.secret, secret), eq(personTwoFactor.backupCodes, backupCodes)];
      await db
        .update(personTwoFactor)
        .set(values)
        .where(and(eq(personTwoFactor.id, id), ...unchanged));
      done += 1;
    } catch (error) {
      // it is under a secret that is not accepted any more; the others must not wait for it
      console.error(JSON.stringify({ event: 'second_factor_unreadable', id, error: describeError(error) }));
    }
  }
  return done;
}
