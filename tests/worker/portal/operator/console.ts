/** An operator two ways: by the API's token, and as a person in the portal. */
import { doors, env, OPERATOR } from '../../fleet/fixtures.ts';
import { Browser, bindings } from '../browser.ts';

const API = '/operator/api';

export function operatorGet(path: string) {
  return doors.request(API + path, { headers: OPERATOR }, env);
}

export function operatorSend(path: string, body: unknown, method: 'POST' | 'PATCH' = 'POST') {
  const headers = { ...OPERATOR, 'content-type': 'application/json' };
  return doors.request(API + path, { method, headers, body: JSON.stringify(body) }, env);
}

/** What a call came to: `201`, or the status and the code of its refusal. */
export async function outcome(answer: Response | Promise<Response>): Promise<string> {
  const response = await answer;
  if (response.ok) return String(response.status);
  const { error } = await response.json<{ error: { code: string } }>();
  return `${response.status} ${error.code}`;
}

/** Somebody who has signed up and was made an operator. */
export async function operatorBrowser(language = 'en'): Promise<Browser & { email: string }> {
  const browser = new Browser(language);
  const { email } = await browser.signUp();
  await bindings.DB.prepare("UPDATE person SET role = 'operator' WHERE email = ?").bind(email).run();
  return Object.assign(browser, { email });
}

/** A page as its text, without markup and with single spaces. */
export async function textOf(answer: Response | Promise<Response>): Promise<string> {
  const html = await (await answer).text();
  return html
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ');
}
