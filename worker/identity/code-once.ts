/**
 * Makes each authenticator code valid once (RFC 6238, 5.2): better-auth 1.7 accepts a code again as long as its time
 * step lasts. The column has the name that upstream proposes for the same purpose.
 */
import { createOTP } from '@better-auth/utils/otp';
import { constantTimeEqual, symmetricDecrypt } from 'better-auth/crypto';
import { database } from '../db/client.ts';
import { findTotpSecret, takeTotpStep } from '../db/second-factor.ts';
import { acceptedSteps, TOTP_DIGITS } from '../domain/totp.ts';
import type { Env } from '../env.ts';
import { encryptionKey } from './auth.ts';

/** Codes are digits, so better-auth refuses this one, and counts it as a failure. */
const NO_CODE = '';

/**
 * Takes the code's time step. Of several calls with one code, at whatever time, one gets the code back.
 * @returns the code for better-auth to verify; one that it refuses if this step, or a later one, was taken before
 */
export async function takeCode(
  env: Env,
  { personId, code, nowMs }: { personId: string; code: string; nowMs: number },
): Promise<string> {
  const db = database(env);
  const sealed = await findTotpSecret(db, personId);
  if (sealed === null) return code;
  const secret = await symmetricDecrypt({ key: await encryptionKey(env), data: sealed });
  const otp = createOTP(secret, { digits: TOTP_DIGITS });
  let step: number | null = null;
  for (const each of acceptedSteps(nowMs)) if (isSame(await otp.hotp(each), code)) step = each;
  if (step === null) return code;
  return (await takeTotpStep(db, { personId, step })) ? code : NO_CODE;
}

function isSame(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  return constantTimeEqual(encoder.encode(a), encoder.encode(b));
}
