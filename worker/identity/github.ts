/** Sign-in and sign-up with GitHub: the redirect to GitHub, and the callback with which GitHub names the person. */
import { config, type Env } from '../env.ts';
import { clientAddress, takeAttempt } from '../rate-limits/attempts.ts';
import type { Person } from './account.ts';
import { auth, TOO_MANY_SIGN_UPS } from './auth.ts';
import { rememberDevice } from './known-device.ts';
import { cookiesSentBack, personOf } from './session.ts';
import { logSignIn } from './sign-in-log.ts';

export type GithubRefusal =
  | { reason: 'too_many_attempts'; retryAfterMs: number }
  /** the person declined at GitHub */
  | { reason: 'denied' }
  /** the attempt began too long ago or in another browser, or its callback was used already */
  | { reason: 'over' }
  /** GitHub has confirmed no address of the person */
  | { reason: 'no_email' }
  /** a person with the same, unverified address exists here already */
  | { reason: 'not_linked' }
  | { reason: 'failed' };

/**
 * Outcome of a callback. `cookies` are `Set-Cookie` values that belong in the response in every case; `next` is the
 * path that the person wanted to open.
 */
export type GithubResult = { cookies: readonly string[] } & (
  | { ok: true; person: Person; isNew: boolean; next: string }
  /** a second factor is required: `cookies` name the person for the few minutes until the code is typed */
  | { ok: true; person: null; next: string }
  | { ok: false; refusal: GithubRefusal }
);

/** better-auth reports its outcome as a redirect: to one of these two paths, or to the error URL. */
const KNOWN = '/known';
const NEW = '/new';

const REFUSALS: Readonly<Record<string, GithubRefusal>> = {
  access_denied: { reason: 'denied' },
  state_mismatch: { reason: 'over' },
  state_not_found: { reason: 'over' },
  email_not_found: { reason: 'no_email' },
  account_not_linked: { reason: 'not_linked' },
};

/** @returns the URL at GitHub and the cookies that bind its callback to this browser; or how long to wait, in ms */
export async function beginWithGithub(
  env: Env,
  { next, headers, nowMs }: { next: string; headers: Headers; nowMs: number },
): Promise<{ url: string; cookies: readonly string[] } | { retryAfterMs: number }> {
  const byNetwork = { rule: 'sign_in_network', subject: clientAddress(headers) } as const;
  const { retryAfterMs } = await takeAttempt(env, [byNetwork], nowMs);
  if (retryAfterMs > 0) return { retryAfterMs };
  const query = `?next=${encodeURIComponent(next)}`;
  const { headers: responseHeaders, response } = await auth(env).api.signInSocial({
    body: { provider: 'github', callbackURL: KNOWN + query, newUserCallbackURL: NEW + query },
    headers,
    returnHeaders: true,
  });
  return { url: response.url!, cookies: responseHeaders.getSetCookie() };
}

/** Completes a sign-in. @param query of the callback URL, as GitHub set it */
export function finishWithGithub(env: Env, request: Callback): Promise<GithubResult> {
  return logSignIn(env, 'github', request.headers, finish(env, request));
}

interface Callback {
  readonly query: Record<string, string>;
  readonly headers: Headers;
  readonly nowMs: number;
}

async function finish(env: Env, { query, headers, nowMs }: Callback): Promise<GithubResult> {
  const byNetwork = { rule: 'sign_in_step_network', subject: clientAddress(headers) } as const;
  const { retryAfterMs } = await takeAttempt(env, [byNetwork], nowMs);
  if (retryAfterMs > 0)
    return { ok: false, refusal: { reason: 'too_many_attempts', retryAfterMs }, cookies: [] };
  const callback = await auth(env).api.callbackOAuth({
    method: 'GET',
    params: { id: 'github' },
    query,
    headers,
    asResponse: true,
  });
  const cookies = callback.headers.getSetCookie();
  const location = callback.headers.get('location');
  if (location === null) return { ok: false, refusal: { reason: 'failed' }, cookies };
  const { pathname, searchParams } = new URL(location, config(env).publicOrigin);
  const error = searchParams.get('error');
  if (error !== null) return { ok: false, refusal: refusalOf(error, searchParams), cookies };
  const next = searchParams.get('next') ?? '';
  // without a session the second factor is still missing
  const session = await personOf(env, cookiesSentBack(cookies), nowMs);
  if (session === null) return { ok: true, person: null, next, cookies };
  const device = await rememberDevice(env, headers, session.person.id);
  return { ok: true, person: session.person, isNew: pathname === NEW, next, cookies: [...cookies, device] };
}

function refusalOf(error: string, searchParams: URLSearchParams): GithubRefusal {
  if (error === TOO_MANY_SIGN_UPS)
    return { reason: 'too_many_attempts', retryAfterMs: Number(searchParams.get('error_description')) };
  return Object.hasOwn(REFUSALS, error) ? REFUSALS[error]! : { reason: 'failed' };
}
