/**
 * Throttles password guessing and e-mail floods: it counts attempts by the person they target and by the client address.
 * It counts within one isolate, which is a first guard; scrypt, at 50 ms a guess, is the second. A worldwide limit
 * belongs in Cloudflare's rate-limiting rules.
 */

interface Window {
  readonly endsAtMs: number;
  count: number;
}

export interface ThrottleRule {
  readonly attempts: number;
  readonly windowMs: number;
}

/**
 * Eight tries in ten minutes are enough for a person with a few passwords to
 * try, and useless for working through a list.
 */
export const ATTEMPTS_PER_PERSON: ThrottleRule = { attempts: 8, windowMs: 600_000 };
/** An address may be shared: the limit lets a whole office sign in on a Monday morning. */
export const ATTEMPTS_PER_ADDRESS: ThrottleRule = { attempts: 40, windowMs: 600_000 };
/** E-mails reach other people's inboxes, which must not be flooded from here. */
export const EMAILS_PER_ADDRESS: ThrottleRule = { attempts: 10, windowMs: 3_600_000 };
/** Each new account costs us its trial credit. */
export const SIGN_UPS_PER_ADDRESS: ThrottleRule = { attempts: 10, windowMs: 3_600_000 };

/** Bounds the isolate's memory to about 2 MB under a flood of invented subjects. */
const WINDOWS_MAX = 20_000;

export class Throttle {
  private readonly windows = new Map<string, Window>();

  /** Counts an attempt. @returns how long to wait, in ms; 0: the attempt is allowed */
  attempt(subject: string, rule: ThrottleRule, nowMs: number): number {
    const window = this.windows.get(subject);
    if (window && nowMs < window.endsAtMs) {
      window.count += 1;
      return window.count > rule.attempts ? window.endsAtMs - nowMs : 0;
    }
    // It is deleted first because a Map keeps insertion order: so its first entry is the oldest window.
    this.windows.delete(subject);
    if (this.windows.size >= WINDOWS_MAX) this.windows.delete(this.windows.keys().next().value!);
    this.windows.set(subject, { endsAtMs: nowMs + rule.windowMs, count: 1 });
    return 0;
  }

  /** Ends the count against a subject, after a correct password. */
  forget(subject: string): void {
    this.windows.delete(subject);
  }
}

/** The isolate's throttle. */
export const throttle = new Throttle();

/**
 * Counts an attempt by the client address that Cloudflare saw. A loopback address
 * only occurs in `wrangler dev` and is not counted.
 */
export function attemptFromAddress(
  headers: Headers,
  what: string,
  rule: ThrottleRule,
  nowMs: number,
): number {
  const address = headers.get('cf-connecting-ip');
  if (address === '127.0.0.1' || address === '::1') return 0;
  return throttle.attempt(`${what} ${address}`, rule, nowMs);
}
