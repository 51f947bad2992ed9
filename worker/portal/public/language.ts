/** The choice of language, kept for a year in a cookie that says nothing else. */
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
    // letters follow pages
    if (person) await setLocale(database(c.env), person.id, language);
    rememberLanguage(c, language);
  }
  return c.redirect(safePath(back, '/'), 303);
});
