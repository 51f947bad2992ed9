/** Signing in and up with GitHub: the way there, and back with its word for who it is. */
import { config, type Env } from '../env.ts';
import { ATTEMPTS_PER_ADDRESS, attemptFrom } from '../lib/throttle.ts';
import type { Person } from './account.ts';
import { auth, TOO_MANY_SIGN_UPS } from './auth.ts';
import { personOf } from './session.ts';

export type GithubRefusal =
  | { reason: 'too_many_attempts'; retryAfterMs: number }
  /** they said no at GitHub */
  | { reason: 'denied' }
  /** begun too long ago or in another browser, or used already */
  | { reason: 'over' }
  /** GitHub has confirmed no address of theirs */
  | { reason: 'no_email' }
  /** somebody has their address here who has not shown it to be theirs */
  | { reason: 'not_linked' }
  | { reason: 'failed' };

/** `cookies`: `Set-Cookie` values that go into the answer, whatever came of it. `next`: where they wanted to go. */
export type GithubResult = { cookies: readonly string[] } & (
  | { ok: true; person: Person; isNew: boolean; next: string }
  /** a code is asked for: `cookies` remember for minutes whose */
  | { ok: true; person: null; next: string }
  | { ok: false; refusal: GithubRefusal }
);

/** better-auth says what came of it by where it would send the browser: these, or back with an error. */
const KNOWN = '/known';
const NEW = '/new';

const REFUSALS: Readonly<Record<string, GithubRefusal>> = {
  access_denied: { reason: 'denied' },
  state_mismatch: { reason: 'over' },
  state_not_found: { reason: 'over' },
  email_not_found: { reason: 'no_email' },
  account_not_linked: { reason: 'not_linked' },
};

/** @returns the address at GitHub, and cookies that tie the way back to this browser; or how long to wait, in ms */
export async function beginWithGithub(
  env: Env,
  { next, headers, nowMs }: { next: string; headers: Headers; nowMs: number },
): Promise<{ url: string; cookies: readonly string[] } | { retryAfterMs: number }> {
  const retryAfterMs = attemptFrom(headers, 'sign-in', ATTEMPTS_PER_ADDRESS, nowMs);
  if (retryAfterMs > 0) return { retryAfterMs };
  const query = `?next=${encodeURIComponent(next)}`;
  const { headers: answer, response } = await auth(env).api.signInSocial({
    body: { provider: 'github', callbackURL: KNOWN + query, newUserCallbackURL: NEW + query },
    headers,
    returnHeaders: true,
  });
  return { url: response.url!, cookies: answer.getSetCookie() };
}

/** @param query as GitHub sent the browser back */
export async function finishWithGithub(
  env: Env,
  { query, headers, nowMs }: { query: Record<string, string>; headers: Headers; nowMs: number },
): Promise<GithubResult> {
  const retryAfterMs = attemptFrom(headers, 'github', ATTEMPTS_PER_ADDRESS, nowMs);
  if (retryAfterMs > 0)
    return { ok: false, refusal: { reason: 'too_many_attempts', retryAfterMs }, cookies: [] };
  const answer = await auth(env).api.callbackOAuth({
    method: 'GET',
    params: { id: 'github' },
    query,
    headers,
    asResponse: true,
  });
  const cookies = answer.headers.getSetCookie();
  const location = answer.headers.get('location');
  if (location === null) return { ok: false, refusal: { reason: 'failed' }, cookies };
  const { pathname, searchParams } = new URL(location, config(env).publicOrigin);
  const error = searchParams.get('error');
  if (error !== null) return { ok: false, refusal: refusalOf(error, searchParams), cookies };
  const next = searchParams.get('next') ?? '';
  // no session: a code is asked for first
  const found = await personOf(env, cookiesSentBack(cookies));
  return { ok: true, person: found?.person ?? null, isNew: pathname === NEW, next, cookies };
}

function refusalOf(error: string, said: URLSearchParams): GithubRefusal {
  if (error === TOO_MANY_SIGN_UPS)
    return { reason: 'too_many_attempts', retryAfterMs: Number(said.get('error_description')) };
  return Object.hasOwn(REFUSALS, error) ? REFUSALS[error]! : { reason: 'failed' };
}

/** The headers of the request that a browser would make next. */
function cookiesSentBack(lines: readonly string[]): Headers {
  return new Headers({ cookie: lines.map((line) => line.split(';')[0]).join('; ') });
}
