/** The routes that have a rate limit, from the route tables themselves, so that no new route can be forgotten. */

/** Routes without a rate limit of this kind, with what bounds them instead. */
const BOUNDED_OTHERWISE: Readonly<Record<string, string>> = {
  'POST /v1/chat/completions': 'the limits of key and account, which the Wallet decides',
  'POST /chat/completions': 'the same',
  'POST /beta/chat/completions': 'the same',
  'POST /v1/completions': 'the same',
  'POST /completions': 'the same',
  'POST /beta/completions': 'the same',
  'POST /v1/responses': 'the same',
  'POST /v1/responses/:id': 'limits of token counts, which tests/worker/gateway/count holds',
  'POST /v1/chat/completions/input_tokens': 'the same',
  'POST /v1/messages/count_tokens': 'the same',
  'POST /anthropic/v1/messages/count_tokens': 'the same',
  'POST /anthropic/v1/messages': 'the same',
  'POST /v1/messages': 'the same',
  'POST /webhooks/:provider':
    'the provider’s signature; a refused payment event could not be told from a lost one',
  'POST /fleet/heartbeat': 'the node’s signature, checked before the body is read',
};

/** Reads that cost a query over much of an account, or make a file. */
const COSTLY = /csv|export|invoices|\/content|\/files\/:file|\/v1\/usage/;

export interface Route {
  readonly method: string;
  readonly path: string;
}

/** Every write of the table, and every costly read. */
export function limitedRoutes(app: { routes: readonly Route[] }, prefix = ''): Route[] {
  const routes = app.routes
    .filter(({ method, path }) => method !== 'ALL' && (method !== 'GET' || COSTLY.test(path)))
    .map(({ method, path }) => ({ method, path: prefix + path }))
    .filter(({ method, path }) => BOUNDED_OTHERWISE[`${method} ${path}`] === undefined);
  return [...new Map(routes.map((route) => [`${route.method} ${route.path}`, route])).values()];
}

/** The path with its parameters filled in, by values that their patterns allow. */
export function filled(path: string): string {
  return path.replace(/:(\w+)(\{[^}]*\})?/g, (_, name: string, pattern?: string) => {
    if (name === 'number') return 'TG-000001';
    return pattern && !pattern.includes('[')
      ? pattern.slice(1, -1).split('|')[0]!
      : 'x/1'.slice(0, pattern ? 3 : 1);
  });
}
