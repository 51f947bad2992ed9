/**
 * The cost of a request in the units that Cloudflare bills: calls of Durable Objects, rows written, queries. Unlike times
 * they hardly depend on the machine, so a change that makes requests more expensive fails here.
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

  it('is counted by this test', () => {
    expect(counts.answered).toBe(REQUESTS);
    expect(callsOf(counts.objects.Wallet)).toBeGreaterThan(0);
    expect(rowsWritten(counts)).toBeGreaterThan(REQUESTS);
  });

  it('needs at most one Wallet call per five requests', () => {
    expect(perRequest(callsOf(counts.objects.Wallet))).toBeLessThanOrEqual(0.2);
  });

  it('needs at most one Pool call per twenty requests, heartbeats included', () => {
    expect(perRequest(callsOf(counts.objects.Pool))).toBeLessThanOrEqual(0.05);
  });

  it('writes at most 1.1 rows in D1, and 1.5 in all stores', () => {
    expect(perRequest(counts.d1.rowsWritten)).toBeLessThanOrEqual(1.1);
    expect(perRequest(rowsWritten(counts))).toBeLessThanOrEqual(1.5);
  });

  it('needs at most one D1 query per ten requests', () => {
    expect(perRequest(counts.d1.queries)).toBeLessThanOrEqual(0.1);
  });

  it('costs at most $1.80 per million, without CPU time', () => {
    expect(totalUsd(bill(counts, null))).toBeLessThanOrEqual(1.8);
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

  it('has its own hold, as every request of a rarely used key: the Wallet admits, posts and takes the receipt', () => {
    const { admit, post, reconcile, ...others } = counts.objects.Wallet.calls;
    expect([admit, post, reconcile, others]).toEqual([KEYS, KEYS, KEYS, {}]);
  });

  // The hold, its end, the ledger's entry, the receipt and the alarm are a row each. A request is published to D1 together
  // with its receipt. When the receipt takes longer than half a second, the request is published first, and D1 writes a
  // row more.
  it('writes at most 6 rows in its Wallet and 5 in D1', () => {
    expect(perRequest(counts.objects.Wallet.rowsWritten)).toBeLessThanOrEqual(6);
    expect(perRequest(counts.d1.rowsWritten)).toBeLessThanOrEqual(5);
  });

  it('costs at most twelve dollars per million, without CPU time', () => {
    expect(totalUsd(bill(counts, null))).toBeLessThanOrEqual(12);
  });
});
