/** Every error with which a request is refused or fails, and the HTTP status of each: one table. */
import type { ServerResponse } from 'node:http';
import type { NODE_ERROR_CODES, NodeError } from '../protocol/schemas.ts';

export type NodeErrorCode = (typeof NODE_ERROR_CODES)[number];

/** An error is a value. `message` is a text of our own: never the engine's, never the caller's. */
export interface RequestError {
  code: NodeErrorCode;
  message: string;
  /** The prompt is longer than the model's context: both counts. */
  context?: NonNullable<NodeError['error']['context']>;
  /** Whole seconds, 1 to 300. */
  retryAfterSeconds?: number;
}

export const STATUS = {
  unauthorized: 401,
  bad_request: 400,
  overloaded: 503,
  engine_failed: 502,
  engine_timeout: 504,
} satisfies Record<NodeErrorCode, number>;

export function toNodeError({ code, message, context }: RequestError): NodeError {
  return { error: { code, message, ...(context ? { context } : {}) } };
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
