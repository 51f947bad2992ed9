/** A minimal browser for the portal's tests: it keeps cookies, follows no redirects, and sends forms with an origin. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import type { Env } from '../../../worker/env.ts';
import { portal } from '../../../worker/portal/index.tsx';

export const ORIGIN = 'https://tollgate.test';
export const bindings = env as unknown as Env;

export const PASSWORD = 'correct horse battery';

export function newEmail(): string {
  return `person-${crypto.randomUUID()}@example.com`;
}

let browsers = 0;

export class Browser {
  readonly cookies = new Map<string, string>();
  /** The client's IP address; each browser has its own network. */
  address: string;
  readonly language: string;

  readonly #env: Env;

  /**
   * @param language the browser's Accept-Language
   * @param env another environment than the tests' own
   */
  constructor(language = 'en', env = bindings) {
    browsers += 1;
    this.language = language;
    this.#env = env;
    this.address = `10.${browsers >> 8}.${browsers & 255}.1`;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.send(path, { headers });
  }

  post(path: string, fields: Record<string, string>, origin: string | null = ORIGIN): Promise<Response> {
    const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' };
    if (origin !== null) headers.origin = origin;
    return this.send(path, { method: 'POST', headers, body: new URLSearchParams(fields).toString() });
  }

  /** Posts a form, expects a redirect, and follows it. */
  async postAndFollow(path: string, fields: Record<string, string>): Promise<Response> {
    const response = await this.post(path, fields);
    const location = response.headers.get('location');
    if (response.status !== 303 || location === null) throw new Error(`no redirect but ${response.status}`);
    return this.get(location);
  }

  async signUp(name = 'Ada', email = newEmail()): Promise<{ email: string; password: string }> {
    const person = { name, email, password: PASSWORD };
    const response = await this.post('/sign-up', person);
    if (response.status !== 303) throw new Error(`sign-up: ${response.status} ${await response.text()}`);
    return person;
  }

  /** The same with the address confirmed, so that the account has its trial credit. */
  async signUpConfirmed(name = 'Ada', email = newEmail()): Promise<{ email: string; password: string }> {
    const person = await this.signUp(name, email);
    await bindings.DB.prepare('UPDATE person SET email_verified = 1 WHERE email = ?').bind(email).run();
    await this.get('/usage');
    return person;
  }

  private async send(
    path: string,
    init: RequestInit & { headers: Record<string, string> },
  ): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const request = new Request(ORIGIN + path, {
      ...init,
      headers: {
        'accept-language': this.language,
        'cf-connecting-ip': this.address,
        ...(cookie && { cookie }),
        ...init.headers,
      },
    });
    const context = createExecutionContext();
    const streaming = await portal.fetch(request, this.#env, context);
    // the body is read before the background work is awaited, because that work may be what writes the body
    const response = new Response(streaming.body && (await streaming.arrayBuffer()), streaming);
    await waitOnExecutionContext(context);
    for (const line of response.headers.getSetCookie()) this.storeCookie(line);
    return response;
  }

  private storeCookie(line: string): void {
    const [pair = '', ...attributes] = line.split(';');
    const at = pair.indexOf('=');
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (attributes.some((each) => each.trim().toLowerCase() === 'max-age=0')) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
