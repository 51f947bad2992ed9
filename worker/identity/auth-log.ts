/** better-auth's logger. Its messages and what it adds to them hold e-mails, tokens and SQL, so none of them is logged. */
import { describeError } from '../lib/describe-error.ts';

/** A message that is a code, such as INTERNAL_SERVER_ERROR. */
const CODE = /^[A-Z][A-Z_]{2,60}$/;

/**
 * Logs a failure inside better-auth: the code where the message is one, and the error where one was passed; otherwise the
 * place that logged, which says as much as its message would.
 */
export function logAuthFailure(level: string, message: unknown, ...facts: unknown[]): void {
  const error = [message, ...facts].find((fact) => fact instanceof Error) ?? new Error('logged');
  const code = typeof message === 'string' && CODE.test(message) ? message : null;
  console.error(JSON.stringify({ event: 'auth_failed', level, code, error: describeError(error) }));
}
