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
  | 'person'
  /** an API key */
  | 'key'
  /** the operator's token */
  | 'operator'
  /** a person, or an e-mail address, as guessed from one client address */
  | 'visitor'
  /** a browser that a person has signed in from */
  | 'device'
  /** a person's session */
  | 'session';

export interface RateRule {
  /** The attempts in words, for error messages and docs/limits.md. */
  readonly counts: string;
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
const DAY_MS = 24 * HOUR_MS;

export const RATE_RULES = {
  /** Eight tries are enough for a person with a few passwords to try, and useless for working through a list. */
  sign_in_visitor: {
    counts: 'sign-ins with a password',
    per: 'visitor',
    count: 8,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  /**
   * A person's password over all networks and unknown devices: more than any person tries, so it is reached only by
   * an attack from many networks. Meanwhile the person signs in from a device that is known, or by e-mail.
   */
  sign_in_email: {
    counts: 'sign-ins with a password',
    per: 'email',
    count: 100,
    windowMs: HOUR_MS,
    whenDown: 'refuse',
  },
  sign_in_device: {
    counts: 'sign-ins with a password',
    per: 'device',
    count: 8,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  /** Codes have six digits and three are right at a time, so even those who know the password get few tries. */
  code_visitor: {
    counts: 'codes of a second factor',
    per: 'visitor',
    count: 8,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  code_person: {
    counts: 'codes of a second factor',
    per: 'person',
    count: 20,
    windowMs: HOUR_MS,
    whenDown: 'refuse',
  },
  code_device: {
    counts: 'codes of a second factor',
    per: 'device',
    count: 8,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  code_devices: {
    counts: 'codes of a second factor from known devices',
    per: 'person',
    count: 30,
    windowMs: HOUR_MS,
    whenDown: 'refuse',
  },
  /** A stolen session guesses, too, such as the password at its change. */
  reauthenticate_session: {
    counts: 'passwords and codes of people who are signed in',
    per: 'session',
    count: 8,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  /** A shared network lets a whole office sign in on a Monday morning. */
  sign_in_network: {
    counts: 'sign-ins with a password or with GitHub',
    per: 'network',
    count: 40,
    sharedCount: 160,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  sign_in_step_network: {
    counts: 'codes, sign-in links and returns from GitHub',
    per: 'network',
    count: 40,
    sharedCount: 160,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  /** Each new account may cost us its trial credit. A household opens few, a class on one network more. */
  sign_up_network: {
    counts: 'sign-ups',
    per: 'network',
    count: 5,
    sharedCount: 20,
    windowMs: HOUR_MS,
    whenDown: 'refuse',
  },
  /** E-mails reach other people's inboxes, which must not be flooded from here. */
  email_network: {
    counts: 'requested e-mails',
    per: 'network',
    count: 10,
    sharedCount: 40,
    windowMs: HOUR_MS,
    whenDown: 'refuse',
  },
  /** One inbox, wherever the requests for e-mails to it come from. */
  email_recipient: {
    counts: 'requested e-mails',
    per: 'email',
    count: 6,
    windowMs: HOUR_MS,
    whenDown: 'refuse',
  },
  /** Invitations reach strangers: an inbox gets few, whichever accounts they come from. */
  invitation_network: {
    counts: 'invitations',
    per: 'network',
    count: 40,
    sharedCount: 100,
    windowMs: DAY_MS,
    whenDown: 'refuse',
  },
  invitation_person: {
    counts: 'invitations',
    per: 'person',
    count: 30,
    windowMs: DAY_MS,
    whenDown: 'refuse',
  },
  invitation_account: {
    counts: 'invitations',
    per: 'account',
    count: 40,
    windowMs: DAY_MS,
    whenDown: 'refuse',
  },
  invitation_email: { counts: 'invitations', per: 'email', count: 3, windowMs: DAY_MS, whenDown: 'refuse' },
  /** Warnings of a changed sign-in. Beyond the limit the change is made and the warning left out. */
  warning_email: {
    counts: 'warnings of a changed sign-in',
    per: 'email',
    count: 20,
    windowMs: DAY_MS,
    whenDown: 'allow',
  },
  /** Each costs a payment; a firm may keep a hundred accounts in one inbox. Beyond the limit they come later. */
  receipt_email: {
    counts: 'receipts by e-mail',
    per: 'email',
    count: 100,
    windowMs: HOUR_MS,
    whenDown: 'allow',
  },
  /** E-mails about balance and caps: one a minute is more than a person reads. Beyond the limit they come later. */
  notice_email: {
    counts: 'alerts by e-mail',
    per: 'email',
    count: 60,
    windowMs: HOUR_MS,
    whenDown: 'allow',
  },
  notice_account: {
    counts: 'alerts by e-mail',
    per: 'account',
    count: 200,
    windowMs: HOUR_MS,
    whenDown: 'allow',
  },
  /** Enough for a code mistyped a few times, hopeless for guessing. */
  promo_account: {
    counts: 'promo codes',
    per: 'account',
    count: 10,
    windowMs: 10 * MINUTE_MS,
    whenDown: 'refuse',
  },
  /** One form a second is more than a person sends. */
  form_person: { counts: 'forms', per: 'person', count: 60, windowMs: MINUTE_MS, whenDown: 'allow' },
  /** Every change leaves an audit row: a day's rows of one person stay a small part of what D1 holds. */
  form_person_day: { counts: 'forms', per: 'person', count: 2_000, windowMs: DAY_MS, whenDown: 'allow' },
  form_account: { counts: 'forms', per: 'account', count: 180, windowMs: MINUTE_MS, whenDown: 'allow' },
  /** Forms of visitors, such as those that sign in; a shared network stands for an office. */
  form_network: {
    counts: 'forms of visitors who are not signed in',
    per: 'network',
    count: 60,
    sharedCount: 300,
    windowMs: MINUTE_MS,
    whenDown: 'allow',
  },
  /** Files that cost a query over much of an account: CSV, PDF, exports. */
  download_person: { counts: 'downloads', per: 'person', count: 20, windowMs: MINUTE_MS, whenDown: 'allow' },
  /** A script may set up a fleet of keys or batches in minutes. */
  change_key: {
    counts: 'changes through the API',
    per: 'key',
    count: 60,
    windowMs: MINUTE_MS,
    whenDown: 'allow',
  },
  change_key_day: {
    counts: 'changes through the API',
    per: 'key',
    count: 5_000,
    windowMs: DAY_MS,
    whenDown: 'allow',
  },
  /** Keys are free, so an account with many has this limit over all of them. */
  change_account: {
    counts: 'changes through the API',
    per: 'account',
    count: 180,
    windowMs: MINUTE_MS,
    whenDown: 'allow',
  },
  /** A token is stored nowhere: a server makes one for each visitor of a page. */
  token_key: { counts: 'client tokens', per: 'key', count: 600, windowMs: MINUTE_MS, whenDown: 'allow' },
  /** Each reads up to a few megabytes; a program that goes through its conversations needs several a second. */
  stored_key: {
    counts: 'reads and deletions of stored responses',
    per: 'key',
    count: 600,
    windowMs: MINUTE_MS,
    whenDown: 'allow',
  },
  /** Counting is work for a node's engine, which tokenizes about a megabyte a second; agents count once a turn at most. */
  count_key: { counts: 'token counts', per: 'key', count: 120, windowMs: MINUTE_MS, whenDown: 'allow' },
  /** Keys are free, so an account with many has this limit over all of them. */
  count_account: {
    counts: 'token counts',
    per: 'account',
    count: 300,
    windowMs: MINUTE_MS,
    whenDown: 'allow',
  },
  /** Usage reports and contents of files. */
  download_key: {
    counts: 'usage reports and file downloads',
    per: 'key',
    count: 60,
    windowMs: MINUTE_MS,
    whenDown: 'allow',
  },
  /** One script of the operator may set up a thousand nodes in minutes. */
  change_operator: {
    counts: 'calls of the operator API that change something',
    per: 'operator',
    count: 600,
    windowMs: MINUTE_MS,
    whenDown: 'allow',
  },
  /** Each costs the check of a signature. A rack of nodes enrols from one network. */
  enrol_network: {
    counts: 'enrolments of nodes',
    per: 'network',
    count: 60,
    windowMs: MINUTE_MS,
    whenDown: 'refuse',
  },
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

/** The one of several states that a client meets first: the least remaining, and of those the latest reset. */
export function tightest(states: readonly RateState[]): RateState | null {
  const [first] = [...states].sort((a, b) => a.remaining - b.remaining || b.resetMs - a.resetMs);
  return first ?? null;
}

const WINDOW_NAMES: Readonly<Record<number, string>> = {
  [MINUTE_MS]: 'minute',
  [10 * MINUTE_MS]: '10 minutes',
  [HOUR_MS]: 'hour',
  [DAY_MS]: 'day',
};

/** A limit in words: "60 changes through the API per minute and key". */
export function limitText({ rule, limit }: Pick<RateState, 'rule' | 'limit'>): string {
  const { counts, per, windowMs } = RATE_RULES[rule];
  return `${limit} ${counts} per ${WINDOW_NAMES[windowMs]} and ${per}`;
}
