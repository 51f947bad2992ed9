import type { PortalContext } from './context.ts';

/** Adds `Set-Cookie` values, such as those of a new session, to the response. */
export function setCookies(c: PortalContext, cookies: readonly string[]): void {
  for (const cookie of cookies) c.header('Set-Cookie', cookie, { append: true });
}
