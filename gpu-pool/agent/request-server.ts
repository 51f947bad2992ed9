/**
 * The agent's HTTP server for the edge. Anyone may reach it: it has four routes that need a token, and a health
 * check.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ABORT_PATH, COUNT_PATH, EXTEND_PATH, Extension, GENERATE_PATH } from '../protocol/schemas.ts';
import { readJsonBody } from './body.ts';
import { count } from './count.ts';
import { generate } from './generate.ts';
import type { GenerateContext } from './generate-context.ts';
import { isRequestError, type RequestError, sendError, sendJson } from './request-error.ts';

/** Longer than the 60 to 75 s for which proxies and workerd keep idle connections, so that they close first. */
const KEEP_ALIVE_MS = 95_000;
/** Deadline for a whole request body to arrive. */
const BODY_DEADLINE_MS = 60_000;
/** Token and claims are each far below 8 KiB; tunnel and proxies add some hundred bytes. */
const HEADER_BYTES_MAX = 12 << 10;
const HEADER_DEADLINE_MS = 10_000;
/** Strangers can open connections through a tunnel too; the edge shares a few hundred between its requests. */
const CONNECTIONS_MAX = 4_096;

/** `context` gives null until the node has enrolled; everything but /healthz is refused until then. */
export function createRequestServer(context: () => GenerateContext | null): Server {
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      requestTimeout: BODY_DEADLINE_MS,
      headersTimeout: HEADER_DEADLINE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    (req, res) => {
      const ready = context();
      const route = `${req.method} ${req.url?.split('?')[0]}`;
      if (route === 'GET /healthz') return sendJson(res, 200, { ok: true });
      if (ready === null)
        return sendError(res, { code: 'overloaded', message: 'This node is still enrolling.' });
      handle(ready, route, req, res).catch((error: unknown) => {
        ready.log('bug', { name: error instanceof Error ? error.name : 'unknown' });
        res.destroy();
      });
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

async function handle(
  context: GenerateContext,
  route: string,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  switch (route) {
    case `POST ${GENERATE_PATH}`:
      return generate(context, req, res);
    case `POST ${COUNT_PATH}`:
      return count(context, req, res);
    case `POST ${ABORT_PATH}`:
      return abort(context, req, res);
    case `POST ${EXTEND_PATH}`:
      return extend(context, req, res);
    default:
      return sendJson(res, 404, { error: { code: 'not_found', message: 'Route not found.' } });
  }
}

/** Aborts the request that the claims name, so the body is not read. */
async function abort(context: GenerateContext, req: IncomingMessage, res: ServerResponse): Promise<void> {
  req.resume();
  const token = await context.verifyToken(req.headers);
  if (isRequestError(token)) {
    context.metrics.requestError(token.code);
    return sendError(res, token);
  }
  const activeRequest = context.activeRequests.find(token.claims);
  activeRequest?.abort('edge');
  sendJson(res, 200, { aborted: activeRequest !== undefined });
}

/** Tells the request that the claims name what it may cost; 404 where it does not run, or has no bound. */
async function extend(context: GenerateContext, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const refuse = (error: RequestError) => {
    context.metrics.requestError(error.code);
    sendError(res, error);
  };
  const token = await context.verifyToken(req.headers);
  if (isRequestError(token)) return refuse(token);
  const body = await readJsonBody(req);
  if (isRequestError(body)) return refuse(body);
  const extension = Extension.safeParse(body.json);
  if (!extension.success)
    return refuse({ code: 'bad_request', message: 'The request body does not follow the protocol.' });
  const kept = context.activeRequests.find(token.claims)?.extend(extension.data.held_nano_usd) ?? null;
  if (kept === null) sendJson(res, 404, { error: { code: 'not_found', message: 'Nothing to extend.' } });
  else sendJson(res, 200, { held_nano_usd: kept } satisfies Extension);
}
