/** A Stripe of its own for each test of the file that imports it; clocks and spies are as they were after each. */
import { afterEach, beforeEach, vi } from 'vitest';
import { FakeStripe } from './stripe-fake.ts';

/** this test's */
export let stripe: FakeStripe;

beforeEach(() => {
  stripe = new FakeStripe();
  vi.stubGlobal('fetch', stripe.fetch);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});
