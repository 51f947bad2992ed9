/** A call to Stripe that failed. It tells what an operator can look up at Stripe, and nothing that was sent or answered. */
import Stripe from 'stripe';
import { ProviderError } from '../provider.ts';

export class StripeCallError extends ProviderError {
  override readonly name = 'StripeCallError';
  override readonly passing: boolean;

  constructor(call: string, cause: unknown) {
    super(`Stripe ${call} failed: ${factsOf(cause)}`);
    this.passing = isPassing(cause);
  }
}

/** Waits for a call and names it in the error. */
export async function called<T>(call: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new StripeCallError(call, error);
  }
}

/** Lost connections, overload and outages pass; a request that Stripe understood and refused does not. */
function isPassing(cause: unknown): boolean {
  if (!(cause instanceof Stripe.errors.StripeError)) return false;
  const status = cause.statusCode;
  return status === undefined || status === 409 || status === 429 || status >= 500;
}

/** Stripe's own message is left out: it may quote what the customer typed. */
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
