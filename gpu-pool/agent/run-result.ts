/** How a request at the engine ends. */
import type { GenerateRequest } from '../protocol/schemas.ts';
import type { ActiveRequest } from './active-requests.ts';
import type { RequestError } from './request-error.ts';
import { whatToCheck } from './sglang/engine-error.ts';

export type EngineRunResult =
  | { kind: 'finished' }
  | { kind: 'aborted' }
  | { kind: 'failed'; error: RequestError };

/**
 * The result of a failure. A request that the edge aborted, or left by disconnecting, has not failed; its receipt carries
 * the last known usage.
 */
export function failed({ aborting }: ActiveRequest, error: RequestError): EngineRunResult {
  switch (aborting) {
    case 'edge':
    case 'disconnect':
      return { kind: 'aborted' };
    case 'shutdown':
      return { kind: 'failed', error: { code: 'engine_failed', message: 'This node is shutting down.' } };
    case null:
      return { kind: 'failed', error };
  }
}

/** The engine's error with what to check, where it refused the request: the agent has no reason of its own then. */
export function explained(error: RequestError, request: GenerateRequest): RequestError {
  return error.code === 'bad_request' ? { ...error, message: whatToCheck(request) } : error;
}
