import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newId, timeOfId } from '../../worker/domain/ids.ts';
import {
  addAllotments,
  NO_ALLOTMENT,
  parseTicket,
  slackFor,
  subtractAllotments,
  ticketOf,
} from '../../worker/domain/lease.ts';
import { nanoUsd } from '../../worker/domain/money.ts';

const amount = fc.integer({ min: 0, max: 1_000_000_000 });
const allotment = fc.record({
  requests: fc.integer({ min: 0, max: 5_000 }),
  nanoUsd: amount.map(nanoUsd),
  tokens: amount,
});
const amountLeft = fc.record({
  requests: fc.oneof(amount, fc.constant(Number.POSITIVE_INFINITY)),
  nanoUsd: amount,
  tokens: fc.oneof(amount, fc.constant(Number.POSITIVE_INFINITY)),
});

describe('slack', () => {
  it('is at most the wanted amount, and an eighth of what is left of each kind', () => {
    fc.assert(
      fc.property(allotment, amountLeft, (wanted, left) => {
        const slack = slackFor(wanted, left);
        for (const kind of ['requests', 'nanoUsd', 'tokens'] as const) {
          expect(slack[kind]).toBeLessThanOrEqual(wanted[kind]);
          expect(slack[kind]).toBeLessThanOrEqual(left[kind] / 8);
        }
      }),
    );
  });

  it('covers whole requests of the wanted size', () => {
    const wanted = { requests: 10, nanoUsd: nanoUsd(1_000), tokens: 50 };
    const plenty = { requests: 1_000, nanoUsd: 1_000_000, tokens: 1_000_000 };
    expect(slackFor(wanted, plenty)).toEqual(wanted);
    expect(slackFor(wanted, { ...plenty, nanoUsd: 8 * 599 })).toEqual({
      requests: 5,
      nanoUsd: 500,
      tokens: 25,
    });
  });

  it('is none when it would cover one request only, or nothing is wanted', () => {
    const wanted = { requests: 10, nanoUsd: nanoUsd(1_000), tokens: 50 };
    const plenty = { requests: 1_000, nanoUsd: 1_000_000, tokens: 1_000_000 };
    expect(slackFor(wanted, { ...plenty, requests: 15 })).toEqual(NO_ALLOTMENT);
    expect(slackFor(wanted, { ...plenty, tokens: 0 })).toEqual(NO_ALLOTMENT);
    expect(slackFor(NO_ALLOTMENT, plenty)).toEqual(NO_ALLOTMENT);
  });
});

it('adding and subtracting an allotment cancel each other', () => {
  fc.assert(
    fc.property(allotment, allotment, (a, b) => {
      expect(subtractAllotments(addAllotments(a, b), b)).toEqual(a);
    }),
  );
});

it('a ticket names its lease, and marks streams', () => {
  const leaseId = newId('lease', 1_700_000_000_000);
  for (const stream of [true, false])
    expect(parseTicket(ticketOf(leaseId, stream))).toEqual({ leaseId, stream });
  for (const other of [null, '', 'lease_', `${leaseId}x`, `${leaseId}.whole`, newId('req', 1)])
    expect(parseTicket(other)).toBeNull();
});

it('an id contains the time it was made', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (atMs) => {
      expect(timeOfId(newId('req', atMs))).toBe(atMs);
    }),
  );
});
