/** GET /v1/key: what the key that asks may do, what it has used, and when that resets. */
import type { Context } from 'hono';
import { capLeft, periodEndMs } from '../domain/limits.ts';
import { formatUsd } from '../domain/money.ts';
import { config, type Env } from '../env.ts';
import { authenticate } from '../gateway/authenticate.ts';
import { refusalResponse } from '../gateway/refusal.ts';

export async function getKey(c: Context<{ Bindings: Env }>): Promise<Response> {
  const nowMs = Date.now();
  const who = await authenticate(c.req.raw, c.env, nowMs);
  if (!who.ok) return refusalResponse(who.refusal, config(c.env).publicOrigin);
  const { accountId, keyId, models, limits } = who.principal;
  const spend = await c.env.WALLET.getByName(accountId).keySpend(keyId, limits);
  const left = capLeft(limits, spend);
  const resetAtMs = limits.capNanoUsd === null ? null : periodEndMs(limits.capPeriod, nowMs);
  return c.json({
    id: keyId,
    object: 'key',
    account_id: accountId,
    models,
    cap: limits.capNanoUsd === null ? null : formatUsd(limits.capNanoUsd),
    cap_period: limits.capPeriod,
    used: formatUsd(spend.spentNanoUsd),
    held: formatUsd(spend.heldNanoUsd),
    remaining: left === null ? null : formatUsd(left),
    resets_at: resetAtMs === null ? null : new Date(resetAtMs).toISOString(),
    limits: { requests_per_minute: limits.requestsPerMinute, concurrency: limits.concurrency },
  });
}
