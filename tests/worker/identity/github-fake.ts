/**
 * FakeGithub plays GitHub: its authorization page, its token endpoint, and the two API calls that identify a person. It
 * behaves like GitHub: a rejected code gets status 200, `email` of a profile is null when the person keeps it private,
 * and the list of addresses needs its scope.
 */
export const CLIENT_ID = 'Ov23liTestTestTest01';
export const CLIENT_SECRET = '0123456789abcdef0123456789abcdef01234567';

const CALLBACK = 'https://tollgate.test/sign-in/github/callback';

export interface GithubAccount {
  readonly id: number;
  login: string;
  name: string | null;
  /** The public address; null: kept private. */
  email: string | null;
  emails: { email: string; primary: boolean; verified: boolean; visibility: 'public' | 'private' | null }[];
}

interface Grant {
  readonly account: GithubAccount;
  readonly redirectUri: string;
  readonly challenge: string;
  readonly scope: string;
}

type Endpoint = 'token' | 'user' | 'emails';
type Fault = 'reset' | 'html' | { status: number };

let accounts = 0;

/** An account with one confirmed address, which is kept private. */
export function githubAccount(email: string, over: Partial<GithubAccount> = {}): GithubAccount {
  accounts += 1;
  const emails = [{ email, primary: true, verified: true, visibility: 'private' as const }];
  return {
    id: 9_000_000 + accounts,
    login: `octocat-${accounts}`,
    name: 'Mona',
    email: null,
    emails,
    ...over,
  };
}

export class FakeGithub {
  /** The fault of an endpoint, while set. */
  readonly faults: Partial<Record<Endpoint, Fault>> = {};
  readonly #codes = new Map<string, Grant>();
  readonly #tokens = new Map<string, Grant>();

  /** The person approves the app. @returns the path to which GitHub sends the browser back */
  approve(authorizeUrl: string, account: GithubAccount): string {
    const { state, ...authorization } = this.#parse(authorizeUrl);
    const code = crypto.randomUUID().replaceAll('-', '').slice(0, 20);
    this.#codes.set(code, { account, ...authorization });
    return callbackPath({ code, state });
  }

  /** The person declines. @returns the path to which GitHub sends the browser back */
  deny(authorizeUrl: string): string {
    const { state } = this.#parse(authorizeUrl);
    return callbackPath({
      error: 'access_denied',
      error_description: 'The user has denied your application access.',
      error_uri: 'https://docs.github.com/apps/troubleshooting-authorization-request-errors/#access-denied',
      state,
    });
  }

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input as string, init);
    const { origin, pathname } = new URL(request.url);
    if (origin === 'https://github.com' && pathname === '/login/oauth/access_token')
      return this.#orFault('token', () => this.#exchange(request));
    if (origin === 'https://api.github.com' && pathname === '/user')
      return this.#orFault('user', () => this.#profile(request));
    if (origin === 'https://api.github.com' && pathname === '/user/emails')
      return this.#orFault('emails', () => this.#emails(request));
    throw new Error(`FakeGithub has no ${request.url}`);
  };

  #parse(authorizeUrl: string) {
    const { origin, pathname, searchParams } = new URL(authorizeUrl);
    if (origin + pathname !== 'https://github.com/login/oauth/authorize')
      throw new Error(`not GitHub's page: ${authorizeUrl}`);
    const param = (name: string) => searchParams.get(name) ?? '';
    if (param('client_id') !== CLIENT_ID) throw new Error('no such app');
    if (param('redirect_uri') !== CALLBACK) throw new Error('redirect_uri_mismatch');
    if (param('code_challenge_method') !== 'S256') throw new Error('GitHub knows S256 only');
    const [state, scope, challenge] = [param('state'), param('scope'), param('code_challenge')];
    return { state, scope, challenge, redirectUri: CALLBACK };
  }

  async #orFault(endpoint: Endpoint, respond: () => Promise<Response> | Response): Promise<Response> {
    const fault = this.faults[endpoint];
    if (fault === 'reset') throw new TypeError('Network connection lost.');
    if (fault === 'html') return new Response('<html>Unicorn!</html>', { status: 200 });
    return fault ? new Response(null, fault) : respond();
  }

  async #exchange(request: Request): Promise<Response> {
    const sent = new URLSearchParams(await request.text());
    if (sent.get('client_id') !== CLIENT_ID || sent.get('client_secret') !== CLIENT_SECRET)
      return tokenError('incorrect_client_credentials');
    const code = sent.get('code') ?? '';
    const grant = this.#codes.get(code);
    if (!grant) return tokenError('bad_verification_code');
    if (sent.get('redirect_uri') !== grant.redirectUri) return tokenError('redirect_uri_mismatch');
    if ((await challengeOf(sent.get('code_verifier') ?? '')) !== grant.challenge)
      return tokenError('bad_verification_code');
    this.#codes.delete(code);
    const token = `gho_${crypto.randomUUID().replaceAll('-', '')}`;
    this.#tokens.set(token, grant);
    const fields = { access_token: token, scope: grant.scope.replaceAll(' ', ','), token_type: 'bearer' };
    // without an accept header GitHub answers with a form
    return request.headers.get('accept')?.includes('json')
      ? Response.json(fields)
      : new Response(new URLSearchParams(fields).toString());
  }

  #profile(request: Request): Response {
    return this.#withGrant(request, ({ account: { emails: _, ...profile } }) =>
      Response.json({ ...profile, type: 'User', avatar_url: 'https://avatars.githubusercontent.com/u/1' }),
    );
  }

  #emails(request: Request): Response {
    return this.#withGrant(request, ({ account, scope }) =>
      scope.split(/[ ,]/).some((each) => each === 'user' || each === 'user:email')
        ? Response.json(account.emails)
        : Response.json({ message: 'Not Found', status: '404' }, { status: 404 }),
    );
  }

  #withGrant(request: Request, respond: (grant: Grant) => Response): Response {
    if (!request.headers.get('user-agent'))
      return new Response('Request forbidden by administrative rules.', { status: 403 });
    const grant = this.#tokens.get(request.headers.get('authorization')?.replace(/^Bearer /, '') ?? '');
    return grant ? respond(grant) : Response.json({ message: 'Bad credentials' }, { status: 401 });
  }
}

function callbackPath(fields: Record<string, string>): string {
  return `${new URL(CALLBACK).pathname}?${new URLSearchParams(fields)}`;
}

/** GitHub sends errors of the token endpoint with status 200. */
function tokenError(error: string): Response {
  return Response.json({
    error,
    error_description: 'As the documentation says.',
    error_uri: 'https://docs.github.com',
  });
}

async function challengeOf(verifier: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const text = btoa(String.fromCharCode(...new Uint8Array(digest)));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
