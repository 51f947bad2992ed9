/** Gives each test of the importing file a FakeStripe of its own, and restores clocks and spies after each. */
import { afterEach, beforeEach, vi } from 'vitest';
import { FakeStripe } from './stripe-fake.ts';

/** The FakeStripe of the running test. */
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
