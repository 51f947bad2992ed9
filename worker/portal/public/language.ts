/** Sets the language: in a cookie that lasts a year, and in the person's profile if somebody is signed in. */
import { Hono } from 'hono';
import { database } from '../../db/client.ts';
import { setLocale } from '../../db/people.ts';
import { isLocale } from '../../i18n/locale.ts';
import type { PortalEnv } from '../frame/context.ts';
import { typedFields } from '../frame/form.ts';
import { rememberLanguage, safePath } from '../frame/guard.ts';

export const languagePage = new Hono<PortalEnv>();

languagePage.post('/language', async (c) => {
  const { language, back } = await typedFields(c);
  if (isLocale(language)) {
    const person = c.get('person');
    // e-mails follow the language of the pages
    if (person) await setLocale(database(c.env), person.id, language);
    rememberLanguage(c, language);
  }
  return c.redirect(safePath(back, '/'), 303);
});
