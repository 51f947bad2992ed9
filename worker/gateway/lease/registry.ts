/** The leases of this isolate. A busy key gets one for all of its requests with the same model, price and limits. */
import { allotmentOf } from '../../domain/lease.ts';
import type { ScopedLimits } from '../../domain/limits.ts';
import type { AdmitRequest, Admitted } from '../../domain/wallet.ts';
import { config, type Env } from '../../env.ts';
import { TtlCache } from '../../lib/ttl-cache.ts';
import { Lease, type WaitUntil } from './lease.ts';

/** A key with this many requests within `leaseBusyMs` (worker/env.ts) is busy: from then on a lease saves Wallet calls. */
const BUSY_REQUESTS = 4;

/** by account, key, model, price and limits */
const leases = new Map<string, Lease>();
/** Arrival times of the latest requests without a lease, under the same keys as `leases`. */
const recentRequests = new TtlCache<string, readonly number[]>({ ttlMs: 60_000, sizeMax: 10_000 });

/** @returns null when no lease has slack for the request: it then needs a hold of its own */
export function admitByLease(
  env: Env,
  accountId: string,
  request: AdmitRequest,
  { nowMs, waitUntil }: { nowMs: number; waitUntil: WaitUntil },
): { lease: Lease; admitted: Admitted } | null {
  const { keyId, modelId, price, limits } = request;
  const name = JSON.stringify([accountId, keyId, modelId, price.id, textOf(limits)]);
  let lease = leases.get(name);
  if (lease === undefined || !lease.isOpen) {
    if (lease?.isInCooldown(nowMs) || !isBusy(name, nowMs, config(env).leaseBusyMs)) return null;
    for (const [each, old] of leases) if (old.isDone && !old.isInCooldown(nowMs)) leases.delete(each);
    const terms = { keyId, modelId, price, limits };
    lease = new Lease(env, accountId, terms, allotmentOf(request.hold, request.tokens), nowMs);
    leases.set(name, lease);
  }
  const admitted = lease.admit(request, nowMs, waitUntil);
  return admitted && { lease, admitted };
}

/** The texts of limits, which are the same object for as long as an isolate caches their key. */
const limitTexts = new WeakMap<ScopedLimits, string>();

function textOf(limits: ScopedLimits): string {
  const text = limitTexts.get(limits) ?? JSON.stringify(limits);
  limitTexts.set(limits, text);
  return text;
}

function isBusy(name: string, nowMs: number, busyMs: number): boolean {
  const before = recentRequests.get(name, nowMs) ?? [];
  const times = [...before, nowMs].slice(-BUSY_REQUESTS);
  recentRequests.set(name, times, nowMs);
  return times.length === BUSY_REQUESTS && nowMs - times[0]! < busyMs;
}
