/** A browser as far as the portal can tell: keeps cookies, follows nothing, sends its forms from an origin. */
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

let people = 0;

export class Browser {
  readonly cookies = new Map<string, string>();
  readonly address: string;
  readonly language: string;

  readonly #env: Env;

  /** @param language as the browser asks for it; `env` another environment than the tests' */
  constructor(language = 'en', env = bindings) {
    people += 1;
    this.language = language;
    this.#env = env;
    this.address = `192.0.${2 + (people >> 8)}.${people & 255}`;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.send(path, { headers });
  }

  post(path: string, fields: Record<string, string>, origin: string | null = ORIGIN): Promise<Response> {
    const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' };
    if (origin !== null) headers.origin = origin;
    return this.send(path, { method: 'POST', headers, body: new URLSearchParams(fields).toString() });
  }

  /** Posts, expects a redirect, and opens where it leads. */
  async postAndFollow(path: string, fields: Record<string, string>): Promise<Response> {
    const answer = await this.post(path, fields);
    const location = answer.headers.get('location');
    if (answer.status !== 303 || location === null) throw new Error(`no redirect but ${answer.status}`);
    return this.get(location);
  }

  async signUp(name = 'Ada', email = newEmail()): Promise<{ email: string; password: string }> {
    const person = { name, email, password: PASSWORD };
    const answer = await this.post('/sign-up', person);
    if (answer.status !== 303) throw new Error(`sign-up: ${answer.status} ${await answer.text()}`);
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
    const answer = await portal.fetch(request, this.#env, context);
    // read before what runs behind it is waited for: that may be what sends it
    const response = new Response(answer.body && (await answer.arrayBuffer()), answer);
    await waitOnExecutionContext(context);
    for (const line of response.headers.getSetCookie()) this.keep(line);
    return response;
  }

  private keep(line: string): void {
    const [pair = '', ...attributes] = line.split(';');
    const at = pair.indexOf('=');
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (attributes.some((each) => each.trim().toLowerCase() === 'max-age=0')) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
