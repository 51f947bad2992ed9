/**
 * A failed call to Stripe. It carries what an operator can look up at Stripe, and nothing that was sent or returned.
 */
import Stripe from 'stripe';
import { ProviderError } from '../provider.ts';

export class StripeCallError extends ProviderError {
  override readonly name = 'StripeCallError';
  override readonly retryable: boolean;

  constructor(call: string, cause: unknown) {
    super(`Stripe ${call} failed: ${factsOf(cause)}`);
    this.retryable = isRetryable(cause);
  }
}

/** Awaits a call to Stripe; an error names the call. @throws StripeCallError */
export async function fromStripe<T>(call: string, response: Promise<T>): Promise<T> {
  try {
    return await response;
  } catch (error) {
    throw new StripeCallError(call, error);
  }
}

/** Lost connections, overload and outages are temporary; a request that Stripe understood and refused is not. */
function isRetryable(cause: unknown): boolean {
  if (!(cause instanceof Stripe.errors.StripeError)) return false;
  const status = cause.statusCode;
  return status === undefined || status === 409 || status === 429 || status >= 500;
}

/** Stripe's own message is left out, because it may quote the customer's input. */
function factsOf(cause: unknown): string {
  if (typeof cause === 'string') return cause;
  if (!(cause instanceof Stripe.errors.StripeError)) return 'not an error of Stripe';
  const { type, code, statusCode, requestId } = cause;
  const facts = { type, code, status: statusCode, request: requestId };
  return Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
