/** What the address of the list of requests asks for; whatever it does not say rightly is as if not said. */
import type { RequestCursor } from '../db/requests.ts';
import type { Ending } from '../domain/hold.ts';
import { isId } from '../domain/ids.ts';
import type { PortalContext } from './context.ts';
import { DAY_MS } from './usage-period.ts';

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
  'out_of_credit',
  'node_failed',
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

/** `1795454687802.req_…`, or null for the beginning. */
export function cursorOf(text = ''): RequestCursor | null {
  const [atMs = '', requestId = ''] = text.split('.');
  return /^\d{1,15}$/.test(atMs) && isId('req', requestId) ? { admittedAtMs: Number(atMs), requestId } : null;
}

export function cursorText({ admittedAtMs, requestId }: RequestCursor): string {
  return `${admittedAtMs}.${requestId}`;
}
