/** Error responses of the public routes. */
import { config } from '../env.ts';
import { type ApiError, errorResponse } from '../http/api-error.ts';
import type { ApiContext } from '../http/response-headers.ts';

/** The response of a route that fails. Links in its message point at this installation. */
export function respondWithError(c: ApiContext, error: ApiError): Response {
  return errorResponse(error, config(c.env).publicOrigin);
}
