import type { PortalContext } from './context.ts';

/** Has the browser forget pages and stored data of this site, at the end of a session. The device stays known: no cookies. */
export function clearBrowser(c: PortalContext): void {
  c.header('Clear-Site-Data', '"cache", "storage"');
}

/** Adds `Set-Cookie` values, such as those of a new session, to the response. */
export function setCookies(c: PortalContext, cookies: readonly string[]): void {
  for (const cookie of cookies) c.header('Set-Cookie', cookie, { append: true });
}
