/** Access to Stripe's API: the official SDK over the Worker's fetch. */
import Stripe from 'stripe';

/**
 * Milliseconds. A customer waits for the response, and Stripe's p99 is far below this. Each retry has this time
 * again.
 */
const CALL_TIMEOUT_MS = 10_000;
const CALL_RETRIES = 2;

export interface StripeCalls {
  readonly publicOrigin: string;
  /** Creates the client on demand, so that a page which only checks whether top-ups are possible does not. */
  api(): Stripe;
}

/**
 * Creates a client. @param fetcher the Worker's own unless a test passes one; looked up at each call, so that it can
 * be replaced
 */
export function stripeApi(secretKey: string, fetcher?: typeof fetch): Stripe {
  return new Stripe(secretKey, {
    httpClient: Stripe.createFetchHttpClient((url, init) => (fetcher ?? fetch)(url, init)),
    timeout: CALL_TIMEOUT_MS,
    maxNetworkRetries: CALL_RETRIES,
    telemetry: false,
  });
}
