/**
 * A lease is credit that a Wallet sets aside for one isolate and one key, so that the isolate admits requests by itself
 * and reports many of them in one call. It covers the holds of the requests that run under it, and some slack for the
 * next ones. Slack is a fraction of what the account has left, so it shrinks with that, down to none: then every request
 * has a hold of its own again.
 */
import type { ConversationHome } from './conversation.ts';
import type { Ending, HoldBound, HoldRange } from './hold.ts';
import type { Loads, RateLimitState, ScopedLimits } from './limits.ts';
import { type NanoUsd, nanoUsd } from './money.ts';
import type { Price } from './pricing.ts';
import type { Usage } from './usage.ts';

/** An amount that is set aside or used: credit for holds, and requests and tokens that count against limits. */
export interface Allotment {
  readonly requests: number;
  readonly nanoUsd: NanoUsd;
  readonly tokens: number;
}

export const NO_ALLOTMENT: Allotment = { requests: 0, nanoUsd: nanoUsd(0), tokens: 0 };

/** Terms that all requests under one lease share. */
export interface LeaseTerms {
  readonly keyId: string;
  readonly modelId: string;
  readonly price: Price;
  readonly limits: ScopedLimits;
}

/**
 * A lease as its Wallet keeps it in wallet/lease-store.ts, whose columns `told` and `doubtful` are `reported` and
 * `settledByReceipts` here.
 */
export interface Lease {
  readonly leaseId: string;
  readonly terms: LeaseTerms;
  /** `seq` of the last report that was applied. */
  readonly seq: number;
  /** Requests admitted under it. */
  readonly admitted: number;
  /** Requests whose end has been reported. They are settled; if reported again they are skipped. */
  readonly reported: number;
  /** Its isolate was taken for lost, and nodes' receipts have settled some of its requests; it may still report them. */
  readonly settledByReceipts: boolean;
  /** All that is set aside, slack included. */
  readonly allotment: Allotment;
  readonly slack: Allotment;
  /** Its isolate counts as lost when no report has come by then. */
  readonly expiresAtMs: number;
  /** Null: the lease is open. */
  readonly endedAtMs: number | null;
}

/** How a request under a lease ended: the counterpart of `post` and `void` for a request with a hold of its own. */
export interface LeasedEnd {
  readonly requestId: string;
  readonly stream: boolean;
  /** Time since admission, by the isolate's clock. The Wallet computes the date by its own clock. */
  readonly admittedAgoMs: number;
  /** Its part of the lease. */
  readonly heldNanoUsd: NanoUsd;
  readonly nodeId: string | null;
  /** Null: not known. The request was silent for as long as a hold may be, and has a hold of its own from now on. */
  readonly ending: Ending | null;
  /** Null: it costs nothing. */
  readonly usage: Usage | null;
  readonly ttftMs: number | null;
  /** Hash of the conversation, when the node that answered should be remembered as its home. */
  readonly conversation?: number | undefined;
}

/** A report of an isolate about its lease. It is idempotent: sent again, or late, it is harmless. */
export interface LeaseReport {
  readonly leaseId: string;
  /** Rises with each report. */
  readonly seq: number;
  readonly terms: LeaseTerms;
  /**
   * Requests in the order in which they ended, from the one after
   * `reportedBefore` on: those that no answered report carried.
   */
  readonly ended: readonly LeasedEnd[];
  /** How many ended requests earlier, answered reports carried. */
  readonly reportedBefore: number;
  /** Requests admitted under it since it began. */
  readonly admitted: number;
  /** The holds of the requests that run now. */
  readonly running: Allotment;
  /** Slack that the isolate keeps admitting from while this report is under way. */
  readonly keptSlack: Allotment;
  /** How much a running request's hold has to grow. It is granted before any slack. */
  readonly needs: Pick<Allotment, 'nanoUsd' | 'tokens'>;
  /** Slack wanted beyond `keptSlack`. */
  readonly wantedSlack: Allotment;
  /** Number of the last affinity that a grant carried. */
  readonly affinitiesSeen: number;
}

/** A conversation, named by its hash, with its home. */
export interface ConversationAffinity extends ConversationHome {
  readonly conversation: number;
}

/** The Wallet's answer to a report. */
export interface LeaseGrant {
  /** False: the lease has ended and nothing is set aside for it; requests reported later are charged if there is credit. */
  readonly open: boolean;
  /** The part of `needs` that was granted. */
  readonly grown: Pick<Allotment, 'nanoUsd' | 'tokens'>;
  /** The reason why `grown` is below `needs`; null: it is not. */
  readonly boundBy: HoldBound | null;
  /** The part of `wantedSlack` that was granted. */
  readonly slack: Allotment;
  /** Other requests wait for what is left: the isolate should give slack back. */
  readonly contended: boolean;
  /** Credit that the account could still hold beside everything that is set aside, within the balance and every cap. */
  readonly availableNanoUsd: NanoUsd;
  readonly rateLimit: RateLimitState;
  /** Homes of other isolates' conversations since `affinitiesSeen`; of very many, the latest only. */
  readonly affinities: readonly ConversationAffinity[];
  readonly affinitiesSeen: number;
}

/** A lease gets at most one part in this many of what is left. Slack goes back as soon as another request waits for it. */
const SLACK_DIVISOR = 8;
/** Slack for fewer requests than this is not worth a call ahead. */
const SLACK_REQUESTS_MIN = 2;

/**
 * The slack to grant: at most a fraction of what is left of each kind, and a whole number of requests of the wanted size.
 * Credit alone may be wanted too, because running requests' holds grow.
 * @param left what is left of each kind; may be infinite
 */
export function slackFor(
  wanted: Allotment,
  left: { requests: number; nanoUsd: number; tokens: number },
): Allotment {
  const kinds = (['requests', 'nanoUsd', 'tokens'] as const).filter((kind) => wanted[kind] > 0);
  const fraction = Math.min(1, ...kinds.map((kind) => left[kind] / SLACK_DIVISOR / wanted[kind]));
  const requests = Math.floor(wanted.requests * fraction);
  if (wanted.requests > 0 && requests < SLACK_REQUESTS_MIN) return NO_ALLOTMENT;
  const granted = wanted.requests > 0 ? requests / wanted.requests : fraction;
  return {
    requests,
    nanoUsd: nanoUsd(Math.floor(wanted.nanoUsd * granted)),
    tokens: Math.floor(wanted.tokens * granted),
  };
}

/** The rest of the limits on requests and tokens: the key's or the account's, whichever is less. */
export function limitsLeft(limits: ScopedLimits, loads: Loads): { requests: number; tokens: number } {
  const scopes = ['key', 'account'] as const;
  const requests = scopes.flatMap((scope) => [
    limits[scope].requestsPerMinute - loads[scope].requestsLastMinute,
    limits[scope].concurrency - loads[scope].inFlight,
  ]);
  const tokens = scopes.map(
    (scope) => (limits[scope].tokensPerMinute ?? Number.POSITIVE_INFINITY) - loads[scope].tokensLastMinute,
  );
  return { requests: Math.max(0, Math.min(...requests)), tokens: Math.max(0, Math.min(...tokens)) };
}

export function addAllotments(a: Allotment, b: Allotment): Allotment {
  return {
    requests: a.requests + b.requests,
    nanoUsd: nanoUsd(a.nanoUsd + b.nanoUsd),
    tokens: a.tokens + b.tokens,
  };
}

export function subtractAllotments(a: Allotment, b: Allotment): Allotment {
  return addAllotments(a, {
    requests: 0 - b.requests,
    nanoUsd: nanoUsd(0 - b.nanoUsd),
    tokens: 0 - b.tokens,
  });
}

/** The allotment that a request takes from a lease at its admission. */
export function allotmentOf(hold: HoldRange, tokens: number): Allotment {
  return { requests: 1, nanoUsd: hold.wantedNanoUsd, tokens };
}

/**
 * The ticket by which a node's receipt names the lease of a request. It marks streams, because part of a stream has been
 * delivered even when its end was never reported.
 */
export function ticketOf(leaseId: string, stream: boolean): string {
  return `${leaseId}${stream ? STREAM : ''}`;
}

const STREAM = '.stream';

/** @returns null when the ticket is not a lease's */
export function parseTicket(ticket: string | null): { leaseId: string; stream: boolean } | null {
  if (ticket === null || !/^lease_[0-9a-z]{26}(\.stream)?$/.test(ticket)) return null;
  const stream = ticket.endsWith(STREAM);
  return { leaseId: stream ? ticket.slice(0, -STREAM.length) : ticket, stream };
}
