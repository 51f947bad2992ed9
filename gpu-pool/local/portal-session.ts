/**
 * A customer's session at a local Tollgate, which signs up through the portal's own forms, as any customer does.
 */

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

/** The e-mail to confirm an address is awaited for a minute: a busy machine delivers it after ten seconds. */
const CONFIRM_TRIES = 300;
const CONFIRM_RETRY_MS = 200;

/** A browser without a screen: keeps cookies, and sends forms as the portal's pages do. */
export class PortalSession {
  readonly #origin: string;
  readonly #cookies = new Map<string, string>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** Signs in, or signs up when there is no such account yet. @throws Error when neither works */
  async signInOrSignUp(credentials: Credentials & { name: string }): Promise<void> {
    const { email, password, name } = credentials;
    if (await this.#tryForm('/sign-in', { email, password })) return;
    if (await this.#tryForm('/sign-up', { name, email, password })) return this.#confirm(email);
    throw new Error(`${email} can neither sign in nor sign up at ${this.#origin}`);
  }

  async getPage(path: string): Promise<string> {
    return (await this.#send(path, {})).text();
  }

  /** Sends a form and returns the page to which it redirects. */
  async submitForm(path: string, fields: Record<string, string>): Promise<string> {
    const response = await this.#send(path, { method: 'POST', body: new URLSearchParams(fields) });
    const next = response.headers.get('location');
    if (next === null) throw new Error(`the form at ${path} was refused with ${response.status}`);
    return this.getPage(new URL(next, this.#origin).pathname);
  }

  /** Confirms the address with the link of its e-mail, for the trial credit. The queue delivers it in seconds. */
  async #confirm(email: string): Promise<void> {
    for (let tries = 0; tries < CONFIRM_TRIES; tries++) {
      const list = await this.getPage('/mailbox');
      for (const [, id] of list.matchAll(/href="\/mailbox\/(ltr_\w+)"/g)) {
        const text = await this.getPage(`/mailbox/${id}`);
        const link = text.match(/\/verify-email\?token=[\w.-]+/)?.[0];
        if (link !== undefined && text.includes(email))
          return void (await this.#send(link, { method: 'POST' }));
      }
      await new Promise((resolve) => setTimeout(resolve, CONFIRM_RETRY_MS));
    }
    throw new Error(`no e-mail to confirm ${email} has arrived in the mailbox at ${this.#origin}`);
  }

  async #tryForm(path: string, fields: Record<string, string>): Promise<boolean> {
    const response = await this.#send(path, { method: 'POST', body: new URLSearchParams(fields) });
    return response.status === 302 || response.status === 303;
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

/** An API key of this account: the first one, which sign-up shows, or a new one. */
export async function obtainKey(session: PortalSession): Promise<string> {
  const shown = (await session.getPage('/start')).match(API_KEY);
  return shown ? shown[0] : createKey(session, { name: 'npm start' });
}

/** Creates an API key; fields that are left out stay as the portal's form has them. */
export async function createKey(
  session: PortalSession,
  fields: {
    name: string;
    /** default: inference */
    scope?: 'management';
    capUsd?: string;
    capPeriod?: string;
    requestsPerMinute?: string;
    concurrency?: string;
  },
): Promise<string> {
  const formDefaults = {
    capUsd: '',
    capPeriod: 'month',
    requestsPerMinute: '600',
    tokensPerMinute: '',
    concurrency: '100',
    expiryDays: '',
  };
  const key = (await session.submitForm('/keys', { ...formDefaults, ...fields })).match(API_KEY);
  if (!key) throw new Error('the portal showed no key');
  return key[0];
}
