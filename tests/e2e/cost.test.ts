/**
 * What a request costs in what Cloudflare counts: calls of Durable Objects, rows written, queries. Times depend on the
 * machine, these hardly do; what makes a request dearer is noticed here.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Counts, callsOf, countRequests, rowsWritten, WARM_UP_REQUESTS } from '../bench/counting.ts';
import { bill, totalUsd } from '../bench/prices.ts';
import type { World } from '../bench/seed.ts';
import { SMALL_WORLD } from '../bench/systems/tollgate.ts';

const CONNECTIONS = 16;

const dir = mkdtempSync(join(tmpdir(), 'tollgate-cost-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const count = (name: string, order: { requests: number; world?: World }): Promise<Counts> =>
  countRequests({ script: inject('script'), dir: join(dir, name), connections: CONNECTIONS, ...order });

describe('a request of a busy key', () => {
  const REQUESTS = 4_000;
  let counts: Counts;
  beforeAll(async () => {
    counts = await count('busy', { requests: REQUESTS });
  });
  const perRequest = (count: number) => count / counts.answered;

  it('is counted', () => {
    expect(counts.answered).toBe(REQUESTS);
    expect(callsOf(counts.objects.Wallet)).toBeGreaterThan(0);
    expect(rowsWritten(counts)).toBeGreaterThan(REQUESTS);
  });

  it('asks its Wallet once for five, at most', () => {
    expect(perRequest(callsOf(counts.objects.Wallet))).toBeLessThanOrEqual(0.2);
  });

  it('asks the Pool once for twenty, at most, heartbeats of nodes included', () => {
    expect(perRequest(callsOf(counts.objects.Pool))).toBeLessThanOrEqual(0.05);
  });

  it('has a row of its own in D1, and with all stores two at most', () => {
    expect(perRequest(counts.d1.rowsWritten)).toBeLessThanOrEqual(1.25);
    expect(perRequest(rowsWritten(counts))).toBeLessThanOrEqual(2);
  });

  it('shares a query of D1 with ten others, at least', () => {
    expect(perRequest(counts.d1.queries)).toBeLessThanOrEqual(0.1);
  });

  it('costs no more than two dollars a million, its CPU time left out', () => {
    expect(totalUsd(bill(counts, null))).toBeLessThanOrEqual(2);
  });
});

describe('the first request of a key', () => {
  const KEYS = 400;
  let counts: Counts;
  beforeAll(async () => {
    const world = { ...SMALL_WORLD, keys: WARM_UP_REQUESTS + KEYS };
    counts = await count('first', { requests: KEYS, world });
  });
  const perRequest = (count: number) => count / counts.answered;

  it('has a hold of its own, like each of a seldom used key: its Wallet admits, posts and takes the receipt', () => {
    const { admit, post, reconcile, ...others } = counts.objects.Wallet.calls;
    expect([admit, post, reconcile, others]).toEqual([KEYS, KEYS, KEYS, {}]);
  });

  // each is told to D1 with its receipt, or before it if that takes longer than half a second: two rows more, and one
  it('writes 24 rows in its Wallet and 9 in D1, at most', () => {
    expect(perRequest(counts.objects.Wallet.rowsWritten)).toBeLessThanOrEqual(24);
    expect(perRequest(counts.d1.rowsWritten)).toBeLessThanOrEqual(9);
  });

  it('costs no more than thirty-three dollars a million, its CPU time left out', () => {
    expect(totalUsd(bill(counts, null))).toBeLessThanOrEqual(33);
  });
});
