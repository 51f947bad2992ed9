/** The way to Stripe's API: the official SDK over the Worker's fetch. */
import Stripe from 'stripe';

/** A customer waits for the answer; Stripe's p99 is far below. Each retry has this again. */
const CALL_TIMEOUT_MS = 10_000;
const CALL_RETRIES = 2;

export interface StripeCalls {
  readonly publicOrigin: string;
  /** made when it is called: a page that only asks whether top-ups are possible does without */
  api(): Stripe;
}

/** @param fetcher the Worker's own unless a test brings another; looked up at each call, so that one may */
export function stripeApi(secretKey: string, fetcher?: typeof fetch): Stripe {
  return new Stripe(secretKey, {
    httpClient: Stripe.createFetchHttpClient((url, init) => (fetcher ?? fetch)(url, init)),
    timeout: CALL_TIMEOUT_MS,
    maxNetworkRetries: CALL_RETRIES,
    telemetry: false,
  });
}
