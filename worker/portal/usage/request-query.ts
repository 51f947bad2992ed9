/** The query of the list of requests. Values that are not valid are ignored. */
import { type Ending, HOLD_BOUNDS } from '../../domain/hold.ts';
import { isId } from '../../domain/ids.ts';
import type { PortalContext } from '../frame/context.ts';
import { DAY_MS } from './usage-period.ts';

/** How far back each period reaches. */
export const SPANS_MS = {
  '24h': DAY_MS,
  '7d': 7 * DAY_MS,
  '30d': 30 * DAY_MS,
  all: Number.POSITIVE_INFINITY,
} as const;
export type Span = keyof typeof SPANS_MS;

export const ENDINGS = [
  'finished',
  'client_gone',
  ...HOLD_BOUNDS,
  'out_of_credit',
  'node_failed',
  'implausible',
  'not_served',
  'settled_by_receipt',
  'unproved',
] as const satisfies readonly Ending[];

export interface RequestQuery {
  readonly period: Span;
  readonly keyId: string | null;
  readonly modelId: string | null;
  readonly ending: Ending | null;
}

export function requestQuery(c: PortalContext): RequestQuery {
  const period = c.req.query('period') ?? '';
  const ending = c.req.query('ending');
  return {
    period: Object.hasOwn(SPANS_MS, period) ? (period as Span) : '30d',
    keyId: c.req.query('key') || null,
    modelId: c.req.query('model') || null,
    ending: ENDINGS.find((each) => each === ending) ?? null,
  };
}

/**
 * The request after which the page begins; null: the newest. Links of former versions have a time before the id:
 * `1795454687802.req_…`.
 */
export function cursorOf(text = ''): string | null {
  const requestId = text.slice(text.indexOf('.') + 1);
  return isId('req', requestId) ? requestId : null;
}

/** The number of the ledger entry whose requests are listed; null: requests of any entry. */
export function entryOf(text = ''): number | null {
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
}
