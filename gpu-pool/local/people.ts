/** People of a local Tollgate: they sign up through the portal's own forms, as anybody would. */

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

/** A browser without a screen: keeps cookies, sends forms as the portal's pages do. */
export class Visitor {
  readonly #origin: string;
  readonly #cookies = new Map<string, string>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** Signs in, or signs up when there is no such person yet. @throws Error when neither works */
  async enter(who: Credentials & { name: string }): Promise<void> {
    const { email, password, name } = who;
    if (await this.#lets('/sign-in', { email, password })) return;
    if (await this.#lets('/sign-up', { name, email, password })) return;
    throw new Error(`${email} can neither sign in nor sign up at ${this.#origin}`);
  }

  async page(path: string): Promise<string> {
    return (await this.#send(path, {})).text();
  }

  /** Sends a form and returns the page that its redirect leads to. */
  async form(path: string, fields: Record<string, string>): Promise<string> {
    const answer = await this.#send(path, { method: 'POST', body: new URLSearchParams(fields) });
    const next = answer.headers.get('location');
    if (next === null) throw new Error(`the form at ${path} was refused with ${answer.status}`);
    return this.page(new URL(next, this.#origin).pathname);
  }

  async #lets(path: string, fields: Record<string, string>): Promise<boolean> {
    const answer = await this.#send(path, { method: 'POST', body: new URLSearchParams(fields) });
    return answer.status === 302 || answer.status === 303;
  }

  async #send(path: string, init: RequestInit): Promise<Response> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { origin: this.#origin, cookie };
    const response = await fetch(this.#origin + path, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/) ?? [];
      if (name !== undefined) this.#cookies.set(name, value ?? '');
    }
    return response;
  }
}

const API_KEY = /sk-tg-[0-9A-Za-z]{46}/;

/** A key of this person: the first one, which sign-up shows, or a new one. */
export async function obtainKey(visitor: Visitor): Promise<string> {
  const shown = (await visitor.page('/start')).match(API_KEY);
  return shown ? shown[0] : makeKey(visitor, { name: 'npm start' });
}

/** A new key; fields that are left out stay as the portal's form has them. */
export async function makeKey(
  visitor: Visitor,
  fields: {
    name: string;
    capUsd?: string;
    capPeriod?: string;
    requestsPerMinute?: string;
    concurrency?: string;
  },
): Promise<string> {
  const asTheFormHas = {
    capUsd: '',
    capPeriod: 'month',
    requestsPerMinute: '600',
    tokensPerMinute: '',
    concurrency: '100',
    expiryDays: '',
  };
  const made = (await visitor.form('/keys', { ...asTheFormHas, ...fields })).match(API_KEY);
  if (!made) throw new Error('the portal showed no key');
  return made[0];
}
