/** GET /v1/key: the limits of the calling key, its use of them, and when its cap resets. */
import { type Cap, type CapUse, capLeft, type Limits, type Load, periodEndMs } from '../domain/limits.ts';
import { formatUsd, type NanoUsd } from '../domain/money.ts';
import type { TokenCap } from '../domain/wallet.ts';
import type { ApiContext } from '../http/response-headers.ts';

export async function getKey(c: ApiContext): Promise<Response> {
  const nowMs = Date.now();
  const { accountId, keyId, models, limits, token, expiresAtMs } = c.get('principal');
  const wallet = c.env.WALLET.getByName(accountId);
  // a token's holder learns what is left of the token, and nothing about the account behind it
  if (token)
    return c.json({
      ...describeToken(token, await wallet.tokenUse(token.id)),
      models,
      expires_at: new Date(expiresAtMs!).toISOString(),
    });
  const { lineageId = null, manager = null } = limits.shared ?? {};
  const [keyLoad, accountLoad, managerLoad] = await Promise.all([
    wallet.load({ keyId, capPeriod: limits.key.capPeriod, lineageId }),
    wallet.load({ keyId: null, capPeriod: limits.account.capPeriod }),
    manager && wallet.load({ keyId: manager.keyId, capPeriod: manager.capPeriod }),
  ]);
  return c.json({
    id: keyId,
    object: 'key',
    account_id: accountId,
    models,
    ...describeLimits(limits.key, keyLoad, nowMs),
    /** the cap that all keys of one management key share; null: it shares none */
    shared_cap: manager && { key_id: manager.keyId, ...describeCap(manager, managerLoad!, nowMs) },
    /** the limits that all keys of the account share */
    account: describeLimits(limits.account, accountLoad, nowMs),
  });
}

function describeToken({ id, capNanoUsd }: TokenCap, use: { spentNanoUsd: NanoUsd; heldNanoUsd: NanoUsd }) {
  return {
    id,
    object: 'token',
    cap: formatUsd(capNanoUsd),
    used: formatUsd(use.spentNanoUsd),
    held: formatUsd(use.heldNanoUsd),
    remaining: formatUsd(capLeft({ capNanoUsd }, use)!),
  };
}

function describeCap(cap: Cap, use: CapUse, nowMs: number) {
  const { capNanoUsd, capPeriod } = cap;
  const left = capLeft(cap, use);
  const resetAtMs = capNanoUsd === null ? null : periodEndMs(capPeriod, nowMs);
  return {
    cap: capNanoUsd === null ? null : formatUsd(capNanoUsd),
    cap_period: capPeriod,
    used: formatUsd(use.spentNanoUsd),
    held: formatUsd(use.heldNanoUsd),
    remaining: left === null ? null : formatUsd(left),
    resets_at: resetAtMs === null ? null : new Date(resetAtMs).toISOString(),
  };
}

function describeLimits(limits: Limits, load: Load, nowMs: number) {
  const { requestsPerMinute, tokensPerMinute, concurrency } = limits;
  return {
    ...describeCap(limits, load, nowMs),
    limits: { requests_per_minute: requestsPerMinute, tokens_per_minute: tokensPerMinute, concurrency },
    now: {
      requests_last_minute: load.requestsLastMinute,
      tokens_last_minute: load.tokensLastMinute,
      in_flight: load.inFlight,
    },
  };
}
