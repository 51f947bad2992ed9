/**
 * A lease: what a Wallet sets aside for one isolate and one key, so that the isolate admits by itself and tells of many
 * requests in one call. It covers the holds of the requests that run under it, and some slack for the next ones.
 * Slack is a share of what is left, so it shrinks as that does: down to none, where every request has its own hold again.
 */

import type { ConversationHome } from './conversation.ts';
import type { Ending, HoldBound, HoldRange } from './hold.ts';
import type { LimitScope, Load, RateLimitState, ScopedLimits } from './limits.ts';
import { type NanoUsd, nanoUsd } from './money.ts';
import type { Price } from './pricing.ts';
import type { Usage } from './usage.ts';

/** What is set aside, or used of it: holds, and what counts against limits. */
export interface Allotment {
  readonly requests: number;
  readonly nanoUsd: NanoUsd;
  readonly tokens: number;
}

export const NO_ALLOTMENT: Allotment = { requests: 0, nanoUsd: nanoUsd(0), tokens: 0 };

/** A lease is for requests that are alike in these. */
export interface LeaseTerms {
  readonly keyId: string;
  readonly modelId: string;
  readonly price: Price;
  readonly limits: ScopedLimits;
}

/** A lease as its Wallet keeps it. */
export interface Lease {
  readonly leaseId: string;
  readonly terms: LeaseTerms;
  /** of the last report that was carried out */
  readonly seq: number;
  /** requests that it admitted */
  readonly admitted: number;
  /** requests whose end it has told; they are settled, and told again they are passed over */
  readonly told: number;
  /** its isolate was taken for lost, and nodes' receipts have settled requests of which it may still tell */
  readonly doubtful: boolean;
  /** all that is set aside, slack and all */
  readonly share: Allotment;
  readonly slack: Allotment;
  /** not heard of until then: its isolate is lost */
  readonly untilMs: number;
  /** null: open */
  readonly endedAtMs: number | null;
}

/** How a request under a lease ended: what a post or a void says of a request that has a hold of its own. */
export interface LeasedEnd {
  readonly requestId: string;
  readonly stream: boolean;
  /** since then, by the isolate's clock; the Wallet dates it by its own */
  readonly admittedAgoMs: number;
  /** its part of the lease */
  readonly heldNanoUsd: NanoUsd;
  readonly nodeId: string | null;
  /** null: nobody knows. It was not heard of for as long as a hold may be silent, and has one of its own from now on */
  readonly ending: Ending | null;
  /** null: it costs nothing */
  readonly usage: Usage | null;
  readonly ttftMs: number | null;
  /** where the conversation was answered, if it is worth remembering */
  readonly conversation?: number | undefined;
}

/** What an isolate says of its lease. Told again, or late, it changes nothing twice. */
export interface LeaseReport {
  readonly leaseId: string;
  /** rises with each report */
  readonly seq: number;
  readonly terms: LeaseTerms;
  /** in the order in which they ended, from the one after `toldBefore` on: all that no answered report has told */
  readonly ended: readonly LeasedEnd[];
  readonly toldBefore: number;
  /** admitted under it since it began */
  readonly admitted: number;
  /** the holds of what runs now */
  readonly running: Allotment;
  /** slack that it goes on admitting from while this report is on its way */
  readonly kept: Allotment;
  /** what a running request's hold has to grow by: had before any slack */
  readonly needs: Pick<Allotment, 'nanoUsd' | 'tokens'>;
  /** slack beyond what is kept */
  readonly wants: Allotment;
  /** number of the last home that a grant has told of */
  readonly homesSeen: number;
}

export interface HomeOf extends ConversationHome {
  readonly conversation: number;
}

export interface LeaseGrant {
  /** false: the lease is over, and nothing is set aside any more: what is told of it is paid if there is credit */
  readonly open: boolean;
  /** of `needs` */
  readonly grown: Pick<Allotment, 'nanoUsd' | 'tokens'>;
  /** why `grown` is less than was needed; null: it is not */
  readonly boundBy: HoldBound | null;
  /** of `wants` */
  readonly slack: Allotment;
  /** others wait for what is left: give slack back */
  readonly pressed: boolean;
  /** what the account has beside all that is set aside */
  readonly availableNanoUsd: NanoUsd;
  readonly rateLimit: RateLimitState;
  /** where conversations of other isolates were answered since, the latest at most */
  readonly homes: readonly HomeOf[];
  readonly homesSeen: number;
}

/** Of what is left each lease may have one part in this many: it goes back as soon as anybody has to wait for it. */
const SLACK_SHARE = 8;
/** Fewer than this are not worth a call ahead. */
const SLACK_REQUESTS_MIN = 2;

/**
 * What may be set aside ahead of need: never more than a share of what is left of anything, and of requests whole ones
 * like those that are wanted. Running requests' holds grow, so more credit may be wanted with no more requests.
 * @param left may be infinite
 */
export function slackFor(
  wants: Allotment,
  left: { requests: number; nanoUsd: number; tokens: number },
): Allotment {
  const kinds = (['requests', 'nanoUsd', 'tokens'] as const).filter((kind) => wants[kind] > 0);
  const part = Math.min(1, ...kinds.map((kind) => left[kind] / SLACK_SHARE / wants[kind]));
  const requests = Math.floor(wants.requests * part);
  if (wants.requests > 0 && requests < SLACK_REQUESTS_MIN) return NO_ALLOTMENT;
  const whole = wants.requests > 0 ? requests / wants.requests : part;
  return {
    requests,
    nanoUsd: nanoUsd(Math.floor(wants.nanoUsd * whole)),
    tokens: Math.floor(wants.tokens * whole),
  };
}

/** What is left of the limits that count requests and tokens, of key and account the one that has less. */
export function limitsLeft(
  limits: ScopedLimits,
  loads: Readonly<Record<LimitScope, Load>>,
): { requests: number; tokens: number } {
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

export function plus(a: Allotment, b: Allotment): Allotment {
  return {
    requests: a.requests + b.requests,
    nanoUsd: nanoUsd(a.nanoUsd + b.nanoUsd),
    tokens: a.tokens + b.tokens,
  };
}

export function minus(a: Allotment, b: Allotment): Allotment {
  return plus(a, { requests: 0 - b.requests, nanoUsd: nanoUsd(0 - b.nanoUsd), tokens: 0 - b.tokens });
}

/** What a request takes of a lease at its admission. */
export function allotmentOf(hold: HoldRange, tokens: number): Allotment {
  return { requests: 1, nanoUsd: hold.wantedNanoUsd, tokens };
}

/** How a node's receipt names the lease of a request. Streams are told apart: a part of one has been delivered. */
export function ticketOf(leaseId: string, stream: boolean): string {
  return `${leaseId}${stream ? STREAM : ''}`;
}

const STREAM = '.stream';

/** null: no ticket of a lease */
export function readTicket(ticket: string | null): { leaseId: string; stream: boolean } | null {
  if (ticket === null || !/^lease_[0-9a-z]{26}(\.stream)?$/.test(ticket)) return null;
  const stream = ticket.endsWith(STREAM);
  return { leaseId: stream ? ticket.slice(0, -STREAM.length) : ticket, stream };
}
