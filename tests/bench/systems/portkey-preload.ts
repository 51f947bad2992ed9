/**
 * Without this every stream of Portkey 1.15.2 from npm is a 500: it appends headers to a response of `fetch`, which
 * undici does not let anybody change, and @hono/node-server hands on as they are. A copy of the response mends it.
 */
const { fetch, Response } = globalThis;

globalThis.fetch = async (...asked: Parameters<typeof fetch>) => {
  const response = await fetch(...asked);
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  return isStream ? new Response(response.body, response) : response;
};

export {};
