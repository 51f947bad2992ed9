/**
 * Slows the guessing of passwords: counts attempts by whom they are aimed at and by where they come from.
 * It counts within one isolate. That is a first guard (scrypt, 50 ms a guess, is the second); the edge's
 * rate-limiting rules are the place for a world-wide one.
 */

interface Window {
  readonly endsAtMs: number;
  count: number;
}

export interface ThrottleRule {
  readonly attempts: number;
  readonly windowMs: number;
}

/** Enough for a person who has forgotten which password it was, hopeless for a list. */
export const ATTEMPTS_PER_PERSON: ThrottleRule = { attempts: 8, windowMs: 600_000 };
/** An office behind one address signs in on a Monday morning. */
export const ATTEMPTS_PER_ADDRESS: ThrottleRule = { attempts: 40, windowMs: 600_000 };
/** A letter lands in somebody's inbox: nobody is to fill it from here. */
export const EMAILS_PER_ADDRESS: ThrottleRule = { attempts: 10, windowMs: 3_600_000 };
/** Each new account costs the trial credit. */
export const SIGN_UPS_PER_ADDRESS: ThrottleRule = { attempts: 10, windowMs: 3_600_000 };

/** Keeps the memory of an isolate bounded under a flood of made-up names: about 2 MB. */
const WINDOWS_MAX = 20_000;

export class Throttle {
  private readonly windows = new Map<string, Window>();

  /** Counts an attempt. @returns how long to wait, in ms; 0 when the attempt may go on */
  attempt(subject: string, rule: ThrottleRule, nowMs: number): number {
    const known = this.windows.get(subject);
    if (known && nowMs < known.endsAtMs) {
      known.count += 1;
      return known.count > rule.attempts ? known.endsAtMs - nowMs : 0;
    }
    // delete first: a Map keeps the order of insertion, so the first one is the one that began longest ago
    this.windows.delete(subject);
    if (this.windows.size >= WINDOWS_MAX) this.windows.delete(this.windows.keys().next().value!);
    this.windows.set(subject, { endsAtMs: nowMs + rule.windowMs, count: 1 });
    return 0;
  }

  /** A right password ends the count against the person. */
  forget(subject: string): void {
    this.windows.delete(subject);
  }
}

/** the isolate's */
export const throttle = new Throttle();

/** Counts by the address that Cloudflare saw. It never sees a loopback one: that is `wrangler dev`, not counted. */
export function attemptFrom(headers: Headers, what: string, rule: ThrottleRule, nowMs: number): number {
  const address = headers.get('cf-connecting-ip');
  if (address === '127.0.0.1' || address === '::1') return 0;
  return throttle.attempt(`${what} ${address}`, rule, nowMs);
}
