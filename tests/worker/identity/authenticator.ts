/** An authenticator app: reads the secret from the page that shows it and generates the current codes. */
import { createOTP } from '@better-auth/utils/otp';
import { afterEach, beforeEach, vi } from 'vitest';

const STEP_MS = 30_000;

/** Holds the clock in the middle of a time step, so that no test sees a code's step end. Timers go on. */
export function holdTimeStep(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: Math.floor(Date.now() / STEP_MS) * STEP_MS + STEP_MS / 2 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/**
 * @param page the text of the page that sets up a second factor
 * @returns a function that generates the current code, or that of a later time step; a negative one is earlier
 */
export function totpFromPage(page: string): (stepsLater?: number) => Promise<string> {
  const secret = page.match(/data-secret[^>]*>([A-Z2-7=]+)</)![1]!;
  const otp = createOTP(decode(secret), { digits: 6 });
  return (stepsLater = 0) => otp.hotp(Math.floor(Date.now() / STEP_MS) + stepsLater);
}

/** Decodes base32 (RFC 4648). */
function decode(text: string): string {
  const bits = [...text.replaceAll('=', '')]
    .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
    .join('');
  return String.fromCharCode(...bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
}
