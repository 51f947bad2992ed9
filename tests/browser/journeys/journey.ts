/** The context of a journey: the portal, the language, and its people. */
import type { BrowserContextOptions, Page } from 'playwright-core';
import type { Messages } from '../../../worker/i18n/en/index.ts';
import { type Formats, formats } from '../../../worker/i18n/formats.ts';
import { type Locale, MESSAGES } from '../../../worker/i18n/locale.ts';
import { eventually } from '../../e2e/local.ts';
import { type Portal, signIn } from '../fixtures.ts';

/** The locales of the browsers. */
export const LOCALES = ['en-GB', 'fr-FR'] as const;

export interface Person {
  readonly name: string;
  readonly email: string;
  readonly password: string;
}

export interface Journey {
  readonly portal: Portal;
  readonly language: Locale;
  readonly t: Messages;
  readonly f: Formats;
  /** A person with an e-mail address of this language. */
  person(name: string): Person;
  /** Opens a page in a browser context of its own. */
  open(options?: BrowserContextOptions): Promise<Page>;
  /** Opens a page and signs in as a person who has signed up before. */
  openAs(who: Pick<Person, 'email' | 'password'>, options?: BrowserContextOptions): Promise<Page>;
}

export function journey(portal: Portal, locale: (typeof LOCALES)[number]): Journey {
  const language: Locale = locale === 'fr-FR' ? 'fr' : 'en';
  const open = async (options?: BrowserContextOptions) =>
    (await portal.visitor({ locale, ...options })).newPage();
  return {
    portal,
    language,
    t: MESSAGES[language],
    f: formats(language),
    person: (name) => ({ name, email: `${name}@${language}.example`, password: 'quiet analytical engine' }),
    open,
    async openAs(who, options) {
      const page = await open(options);
      await signIn(page, who);
      return page;
    },
  };
}

/** Opens the newest e-mail with this recipient and subject in the local mailbox. */
export async function openEmail(
  { t }: Journey,
  page: Page,
  { to, subject }: { to: string; subject: string },
): Promise<void> {
  const email = page
    .getByRole('row')
    .filter({ hasText: to })
    .getByRole('link', { name: `Tollgate: ${subject}`, exact: true });
  await eventually(async () => {
    await page.goto('/mailbox');
    return (await email.count()) > 0;
  });
  await email.first().click();
  await page.getByRole('heading', { name: t.people.mailbox.asText }).waitFor();
}

/** A person with an API key, as the developer's journey leaves it for the other journeys. */
export interface Customer extends Person {
  readonly apiKey: string;
}

/** Calls the API with a key of the customer's. */
export function call(portal: Portal, key: string, path: string, body?: object): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const init = body ? { method: 'POST', body: JSON.stringify(body) } : {};
  return fetch(portal.origin + path, { ...init, headers });
}

/** The response of `GET /v1/generations/{id}`. */
export interface Generation {
  readonly usage: {
    readonly prompt_tokens: number;
    readonly cached_tokens: number;
    readonly completion_tokens: number;
    readonly reasoning_tokens: number;
  };
  readonly charge_nano_usd: number;
  readonly ledger_entry: number;
  readonly node_id: string;
}

export async function generation(portal: Portal, key: string, requestId: string): Promise<Generation> {
  return (await call(portal, key, `/v1/generations/${requestId}`)).json() as Promise<Generation>;
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
