/** The pattern of the route that a request matched: what a log may say of a path, which can hold tokens and names. */
import type { Context } from 'hono';
import { matchedRoutes } from 'hono/route';

/** @returns such as `/reset-password/:token`; `*` when only middleware matched */
export function routeOf(c: Context): string {
  const patterns = matchedRoutes(c).map(({ path }) => path);
  return patterns.findLast((path) => !path.endsWith('*')) ?? '*';
}
