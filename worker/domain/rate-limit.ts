/**
 * Rate limits of everything but generation, whose limits a Wallet decides (limits.ts): how often a person, an account,
 * an e-mail address or a network may do a thing. A rule counts in a window that begins with the first attempt; a refused
 * attempt is not counted, so that whoever waits for the end of the window is served.
 */

/** The kinds of subject that rules count: what an attempt must name for a rule. */
export type SubjectKind =
  /** a client address, counted by its network (network.ts) */
  | 'network'
  /** an e-mail address, counted by its canonical form (canonical-email.ts), whether anybody here has it or not */
  | 'email'
  | 'account'
  | 'person';

export interface RateRule {
  readonly per: SubjectKind;
  /** Attempts that a window allows. */
  readonly count: number;
  /** Attempts that a network allows which unrelated people share; default: `count`. */
  readonly sharedCount?: number;
  readonly windowMs: number;
  /**
   * Decision while the counter cannot be reached. A guess, a sign-up or an e-mail to a stranger is refused for a moment:
   * an attacker could provoke the failure. Ordinary writes of customers go on.
   */
  readonly whenDown: 'allow' | 'refuse';
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export const RATE_RULES = {
  /** Eight tries are enough for a person with a few passwords to try, and useless for working through a list. */
  sign_in_email: { per: 'email', count: 8, windowMs: 10 * MINUTE_MS, whenDown: 'refuse' },
  /** A shared network lets a whole office sign in on a Monday morning. */
  sign_in_network: {
    per: 'network',
    count: 40,
    sharedCount: 160,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  /** Tries of a second factor's code, sign-in link or GitHub callback. */
  sign_in_step_network: {
    per: 'network',
    count: 40,
    sharedCount: 160,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  /** Each new account may cost us its trial credit. A household opens few, a class on one network more. */
  sign_up_network: { per: 'network', count: 5, sharedCount: 20, windowMs: HOUR_MS, whenDown: 'refuse' },
  /** E-mails reach other people's inboxes, which must not be flooded from here. */
  email_network: { per: 'network', count: 10, sharedCount: 40, windowMs: HOUR_MS, whenDown: 'refuse' },
  /** One inbox, wherever the requests for e-mails to it come from. */
  email_recipient: { per: 'email', count: 6, windowMs: HOUR_MS, whenDown: 'refuse' },
  /** Passwords or codes of a signed-in person who closes an account: whoever stole the session must not guess them. */
  proof_person: { per: 'person', count: 8, windowMs: 10 * MINUTE_MS, whenDown: 'refuse' },
  /** Enough for a code mistyped a few times, hopeless for guessing. */
  promo_account: { per: 'account', count: 10, windowMs: 10 * MINUTE_MS, whenDown: 'refuse' },
} as const satisfies Record<string, RateRule>;

export type RateRuleName = keyof typeof RATE_RULES;

/** A count in progress, as it is stored. */
export interface RateWindow {
  readonly count: number;
  readonly endsAtMs: number;
}

/** State of one rule for one subject after an attempt. */
export interface RateState {
  readonly rule: RateRuleName;
  readonly limit: number;
  readonly remaining: number;
  /** Time until the count begins anew. */
  readonly resetMs: number;
}

/** An attempt as a subject's counter decides it. */
export interface RateRequest {
  readonly rule: RateRuleName;
  readonly limit: number;
}

export interface RateDecision {
  readonly allowed: boolean;
  readonly state: RateState;
  /** The window to store if the attempt is counted. */
  readonly window: RateWindow;
}

/** The counter of one subject: a Durable Object (rate-limits/rate-limiter.ts). */
export interface RateLimiterApi {
  /** Counts an attempt under all the rules, or under none when one of them refuses it. */
  take(requests: readonly RateRequest[], nowMs: number): Promise<{ allowed: boolean; states: RateState[] }>;
  /** Ends the count of a rule. */
  forgive(rule: RateRuleName): Promise<void>;
}

/** Decides an attempt. @param known the stored window; undefined: there is none */
export function decideAttempt(
  { rule, limit }: RateRequest,
  known: RateWindow | undefined,
  nowMs: number,
): RateDecision {
  const { windowMs } = RATE_RULES[rule];
  const isOver = known === undefined || nowMs >= known.endsAtMs;
  // a clock behind the one that began the window could otherwise make it longer than it is
  const endsAtMs = isOver ? nowMs + windowMs : Math.min(known.endsAtMs, nowMs + windowMs);
  const before = isOver ? 0 : known.count;
  const allowed = before < limit;
  const count = allowed ? before + 1 : before;
  const state = { rule, limit, remaining: Math.max(0, limit - count), resetMs: endsAtMs - nowMs };
  return { allowed, state, window: { count, endsAtMs } };
}

/** Of several states the one that a client meets first: the least remaining, and of those the latest reset. */
export function tightest(states: readonly RateState[]): RateState | null {
  const [first] = [...states].sort((a, b) => a.remaining - b.remaining || b.resetMs - a.resetMs);
  return first ?? null;
}
