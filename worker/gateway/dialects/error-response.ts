/** An error in the envelope and the words of a dialect. */
import { config } from '../../env.ts';
import { type ApiError, errorResponseWith } from '../../http/api-error.ts';
import type { ApiContext } from '../../http/response-headers.ts';
import { type Dialect, envelopeIn } from './dialect.ts';

export function errorBodyIn(c: ApiContext, dialect: Dialect, error: ApiError): object {
  return dialect.errorBody(envelopeIn(dialect, error, config(c.env).publicOrigin), c.get('requestId'));
}

export function errorResponseIn(c: ApiContext, dialect: Dialect, error: ApiError): Response {
  return errorResponseWith(error, errorBodyIn(c, dialect, error));
}
