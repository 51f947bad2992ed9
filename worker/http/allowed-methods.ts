/** The methods of a path, from a route table: what a 405 and the answer to OPTIONS say in `Allow`. */
import { TrieRouter } from 'hono/router/trie-router';
import type { RouterRoute } from 'hono/types';

/**
 * @param routes the table, read at the first call: routes may be added until then. Middleware and catch-alls, which are
 * registered for all methods, do not count.
 * @returns a function from a path to its methods: none where no route has the path
 */
export function allowedMethods(routes: () => readonly RouterRoute[]): (path: string) => readonly string[] {
  let router: TrieRouter<string> | null = null;
  return function methodsOf(path) {
    if (router === null) {
      router = new TrieRouter();
      for (const route of routes()) if (route.method !== 'ALL') router.add('ALL', route.path, route.method);
    }
    const methods = new Set(router.match('ALL', path)[0].map(([method]) => method));
    if (methods.has('GET')) methods.add('HEAD');
    if (methods.size > 0) methods.add('OPTIONS');
    return [...methods];
  };
}

/** The answer to OPTIONS: the path's methods, and nothing else. */
export function optionsResponse(methods: readonly string[]): Response {
  return new Response(null, { status: 204, headers: { allow: methods.join(', ') } });
}
