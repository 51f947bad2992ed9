/**
 * Works around a fault of Portkey 1.15.2 from npm, whose every stream is a 500: it appends headers to a response of
 * `fetch`, whose headers undici makes immutable and @hono/node-server keeps so. A copy of the response is mutable.
 */
const { fetch, Response } = globalThis;

globalThis.fetch = async (...args: Parameters<typeof fetch>) => {
  const response = await fetch(...args);
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  return isStream ? new Response(response.body, response) : response;
};

export {};
