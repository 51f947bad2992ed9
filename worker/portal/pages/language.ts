/** The choice of language, kept for a year in a cookie that says nothing else. */
import { Hono } from 'hono';
import { setCookie } from 'hono/cookie';
import { config } from '../../env.ts';
import type { PortalEnv } from '../context.ts';
import { typedFields } from '../form.ts';
import { LANGUAGE_COOKIE, safePath } from '../guard.ts';
import { isLocale } from '../language/locale.ts';

const YEAR_S = 31_536_000;

export const languagePage = new Hono<PortalEnv>();

languagePage.post('/language', async (c) => {
  const { language, back } = await typedFields(c);
  if (isLocale(language)) {
    setCookie(c, LANGUAGE_COOKIE, language, {
      path: '/',
      maxAge: YEAR_S,
      sameSite: 'Lax',
      httpOnly: true,
      secure: config(c.env).publicOrigin.startsWith('https://'),
    });
  }
  return c.redirect(safePath(back, '/'), 303);
});
