import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newId, timeOfId } from '../../worker/domain/ids.ts';
import { minus, NO_ALLOTMENT, plus, readTicket, slackFor, ticketOf } from '../../worker/domain/lease.ts';
import { nanoUsd } from '../../worker/domain/money.ts';

const amount = fc.integer({ min: 0, max: 1_000_000_000 });
const share = fc.record({
  requests: fc.integer({ min: 0, max: 5_000 }),
  nanoUsd: amount.map(nanoUsd),
  tokens: amount,
});
const left = fc.record({
  requests: fc.oneof(amount, fc.constant(Number.POSITIVE_INFINITY)),
  nanoUsd: amount,
  tokens: fc.oneof(amount, fc.constant(Number.POSITIVE_INFINITY)),
});

describe('slack', () => {
  it('is never more than is wanted, nor than an eighth of what is left of anything', () => {
    fc.assert(
      fc.property(share, left, (wants, of) => {
        const slack = slackFor(wants, of);
        for (const kind of ['requests', 'nanoUsd', 'tokens'] as const) {
          expect(slack[kind]).toBeLessThanOrEqual(wants[kind]);
          expect(slack[kind]).toBeLessThanOrEqual(of[kind] / 8);
        }
      }),
    );
  });

  it('is for whole requests like those that are wanted', () => {
    const wants = { requests: 10, nanoUsd: nanoUsd(1_000), tokens: 50 };
    const much = { requests: 1_000, nanoUsd: 1_000_000, tokens: 1_000_000 };
    expect(slackFor(wants, much)).toEqual(wants);
    expect(slackFor(wants, { ...much, nanoUsd: 8 * 599 })).toEqual({
      requests: 5,
      nanoUsd: 500,
      tokens: 25,
    });
  });

  it('is none where it would be for one request, or nothing is wanted', () => {
    const wants = { requests: 10, nanoUsd: nanoUsd(1_000), tokens: 50 };
    const much = { requests: 1_000, nanoUsd: 1_000_000, tokens: 1_000_000 };
    expect(slackFor(wants, { ...much, requests: 15 })).toEqual(NO_ALLOTMENT);
    expect(slackFor(wants, { ...much, tokens: 0 })).toEqual(NO_ALLOTMENT);
    expect(slackFor(NO_ALLOTMENT, much)).toEqual(NO_ALLOTMENT);
  });
});

it('adds and takes away', () => {
  fc.assert(
    fc.property(share, share, (a, b) => {
      expect(minus(plus(a, b), b)).toEqual(a);
    }),
  );
});

it('names itself on a receipt, and tells streams apart', () => {
  const leaseId = newId('lease', 1_700_000_000_000);
  for (const stream of [true, false])
    expect(readTicket(ticketOf(leaseId, stream))).toEqual({ leaseId, stream });
  for (const other of [null, '', 'lease_', `${leaseId}x`, `${leaseId}.whole`, newId('req', 1)])
    expect(readTicket(other)).toBeNull();
});

it('dates a request by its id', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (atMs) => {
      expect(timeOfId(newId('req', atMs))).toBe(atMs);
    }),
  );
});
