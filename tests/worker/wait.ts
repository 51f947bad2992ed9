/** Waits of tests: as long as a test may take, because a busy machine decides nothing (vitest's own wait is a second). */
import { vi } from 'vitest';

interface Patience {
  readonly timeout?: number;
  /** ms */
  readonly interval?: number;
}

const TIMEOUT_MS = 60_000;

/** Repeats a check until it does not throw. */
export function waitFor<T>(check: () => T | Promise<T>, options: Patience = {}): Promise<T> {
  return vi.waitFor(check, { timeout: TIMEOUT_MS, ...options });
}

/** Repeats a check until its value is truthy. */
export function waitUntil<T>(check: () => T | Promise<T>, options: Patience = {}) {
  return vi.waitUntil(check, { timeout: TIMEOUT_MS, ...options });
}
