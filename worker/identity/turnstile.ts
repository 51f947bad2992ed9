/**
 * Cloudflare Turnstile: the sign-up form's proof that a person fills it in, which this asks Cloudflare about. The widget
 * puts a token into the form; Cloudflare accepts each token once and for five minutes.
 */
import * as z from 'zod';
import { config, type Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';

export const TURNSTILE_ORIGIN = 'https://challenges.cloudflare.com';
/** The form field that the widget fills in. */
export const TURNSTILE_FIELD = 'cf-turnstile-response';
/** The name that the widget's token is bound to, so that a token from another form of the same site key is refused. */
export const SIGN_UP_ACTION = 'sign_up';

/** Cloudflare's documented maximum of a token. */
const TOKEN_LENGTH_MAX = 2_048;
/** A person waits in front of the form. */
const CALL_TIMEOUT_MS = 5_000;

export type TurnstileFault =
  /** the widget has put no token into the form */
  | 'turnstile_missing'
  /** the token is forged, used, expired, or of another site or form */
  | 'turnstile_refused'
  /** Cloudflare gave no usable answer */
  | 'turnstile_unavailable';

const Verdict = z.object({
  success: z.boolean(),
  hostname: z.string().optional(),
  action: z.string().optional(),
  'error-codes': z.array(z.string()).default([]),
});

/** @param address the client's, for Cloudflare to compare; empty: not known. @returns null: passed, or not set up */
export async function turnstileFault(
  env: Env,
  { token, address }: { token: string; address: string },
): Promise<TurnstileFault | null> {
  const { turnstile, publicOrigin, development } = config(env);
  if (turnstile === null) return null;
  if (token === '') return 'turnstile_missing';
  if (token.length > TOKEN_LENGTH_MAX) return 'turnstile_refused';
  const verdict = await askCloudflare({
    secret: turnstile.secretKey,
    response: token,
    ...(address === '' ? {} : { remoteip: address }),
  });
  if (verdict === null) return 'turnstile_unavailable';
  if (!verdict.success) {
    // a fault of ours or of Cloudflare's is not one that the person could mend
    const isOurs = verdict['error-codes'].some((code) => OUR_FAULTS.has(code));
    if (isOurs) logFailure(verdict['error-codes'].join(' '));
    return isOurs ? 'turnstile_unavailable' : 'turnstile_refused';
  }
  // Cloudflare's keys for testing answer with the name and action of an example
  const isOurForm = verdict.hostname === new URL(publicOrigin).hostname && verdict.action === SIGN_UP_ACTION;
  return isOurForm || development ? null : 'turnstile_refused';
}

const OUR_FAULTS = new Set(['missing-input-secret', 'invalid-input-secret', 'bad-request', 'internal-error']);

async function askCloudflare(fields: Record<string, string>): Promise<z.infer<typeof Verdict> | null> {
  try {
    const response = await fetch(`${TURNSTILE_ORIGIN}/turnstile/v0/siteverify`, {
      method: 'POST',
      body: new URLSearchParams(fields),
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    const parsed = Verdict.safeParse(await response.json());
    if (parsed.success) return parsed.data;
    return logFailure(`an answer of another shape, with status ${response.status}`);
  } catch (error) {
    return logFailure(describeError(error));
  }
}

function logFailure(fault: string): null {
  console.error(JSON.stringify({ event: 'turnstile_failed', fault }));
  return null;
}
