/** A call to Stripe that failed. It tells what an operator can look up at Stripe, and nothing that was sent or answered. */
import Stripe from 'stripe';

export class StripeCallError extends Error {
  override readonly name = 'StripeCallError';
  readonly code = 'provider_unavailable';

  constructor(call: string, cause: unknown) {
    super(`Stripe ${call} failed: ${factsOf(cause)}`);
  }
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
