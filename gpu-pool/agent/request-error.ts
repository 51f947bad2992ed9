/** Every way to turn a request away, and the HTTP status that goes with it: one table. */
import type { ServerResponse } from 'node:http';
import type { NODE_ERROR_CODES, NodeError } from '../protocol/schemas.ts';

export type NodeErrorCode = (typeof NODE_ERROR_CODES)[number];

/** A error is a value. `message` is in our own words: never the engine's text, never the caller's. */
export interface RequestError {
  code: NodeErrorCode;
  message: string;
  /** whole seconds, 1 to 300 */
  retryAfterSeconds?: number;
}

export const STATUS = {
  unauthorized: 401,
  bad_request: 400,
  overloaded: 503,
  engine_failed: 502,
  engine_timeout: 504,
} satisfies Record<NodeErrorCode, number>;

export function toNodeError({ code, message }: RequestError): NodeError {
  return { error: { code, message } };
}

export function isRequestError(value: object): value is RequestError {
  return 'code' in value;
}

export function sendError(res: ServerResponse, error: RequestError): void {
  if (error.retryAfterSeconds !== undefined) res.setHeader('retry-after', String(error.retryAfterSeconds));
  sendJson(res, STATUS[error.code], toNodeError(error));
}

export function sendJson(res: ServerResponse, status: number, body: unknown): void {
  if (res.destroyed || res.headersSent) return;
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  res.end(JSON.stringify(body));
}
