/** The operator in tests: by the operator API's token, and as a person in the portal. */
import { env, OPERATOR, server } from '../../fleet/fixtures.ts';
import { Browser, bindings } from '../browser.ts';

const API = '/operator/api';

export function operatorGet(path: string) {
  return server.request(API + path, { headers: OPERATOR }, env);
}

export function operatorSend(path: string, body: unknown, method: 'POST' | 'PATCH' = 'POST') {
  const headers = { ...OPERATOR, 'content-type': 'application/json' };
  return server.request(API + path, { method, headers, body: JSON.stringify(body) }, env);
}

/** The outcome of a call as text: `201`, or the status and the error code. */
export async function outcomeOf(pending: Response | Promise<Response>): Promise<string> {
  const response = await pending;
  if (response.ok) return String(response.status);
  const { error } = await response.json<{ error: { code: string } }>();
  return `${response.status} ${error.code}`;
}

/** The browser of a person who has signed up and was made an operator. */
export async function operatorBrowser(language = 'en'): Promise<Browser & { email: string }> {
  const browser = new Browser(language);
  const { email } = await browser.signUp();
  await bindings.DB.prepare("UPDATE person SET role = 'operator' WHERE email = ?").bind(email).run();
  return Object.assign(browser, { email });
}

/** The text of a page, without markup and with single spaces. */
export async function textOf(response: Response | Promise<Response>): Promise<string> {
  const html = await (await response).text();
  return html
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ');
}
