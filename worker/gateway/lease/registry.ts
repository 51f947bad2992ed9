/** The leases of this isolate, found by key, model, price and limits. */

import { allotmentOf } from '../../domain/lease.ts';
import type { AdmitRequest, Admitted } from '../../domain/wallet.ts';
import { config, type Env } from '../../env.ts';
import { TtlCache } from '../../lib/ttl-cache.ts';
import { byRequest, Lease, type WaitUntil } from './lease.ts';

/** A key with this many requests within `leaseBusyMs` (worker/env.ts) is worth a lease. */
const BUSY_REQUESTS = 4;

/** by what its requests have in common */
const leases = new Map<string, Lease>();

/** when the last requests of keys without a lease came */
const recent = new TtlCache<string, readonly number[]>({ ttlMs: 60_000, sizeMax: 10_000 });

/** @returns null: no lease has room for it, and the Wallet is to be asked */
export function admitByLease(
  env: Env,
  accountId: string,
  asked: AdmitRequest,
  { nowMs, waitUntil }: { nowMs: number; waitUntil: WaitUntil },
): Admitted | null {
  const { keyId, modelId, price, limits } = asked;
  const name = JSON.stringify([accountId, keyId, modelId, price.id, limits]);
  let lease = leases.get(name);
  if (lease === undefined || !lease.isOpen) {
    if (lease?.isBarren(nowMs) || !isBusy(name, nowMs, config(env).leaseBusyMs)) return null;
    for (const [each, old] of leases) if (old.isDone && !old.isBarren(nowMs)) leases.delete(each);
    const terms = { keyId, modelId, price, limits };
    lease = new Lease(env, accountId, terms, allotmentOf(asked.hold, asked.tokens), nowMs);
    leases.set(name, lease);
  }
  const admitted = lease.admit(asked, nowMs, waitUntil);
  if (admitted) byRequest.set(asked.requestId, lease);
  return admitted;
}

/** The lease that a running request was admitted by. */
export function leaseOf(requestId: string): Lease | undefined {
  return byRequest.get(requestId);
}

function isBusy(name: string, nowMs: number, busyMs: number): boolean {
  const before = recent.get(name, nowMs) ?? [];
  const times = [...before, nowMs].slice(-BUSY_REQUESTS);
  recent.set(name, times, nowMs);
  return times.length === BUSY_REQUESTS && nowMs - times[0]! < busyMs;
}
