/** GET /v1/key: the limits of the calling key, its use of them, and when its cap resets. */
import { capLeft, type Limits, type Load, periodEndMs } from '../domain/limits.ts';
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
  const [keyLoad, accountLoad] = await Promise.all([
    wallet.load({ keyId, capPeriod: limits.key.capPeriod }),
    wallet.load({ keyId: null, capPeriod: limits.account.capPeriod }),
  ]);
  return c.json({
    id: keyId,
    object: 'key',
    account_id: accountId,
    models,
    ...describeLimits(limits.key, keyLoad, nowMs),
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

function describeLimits(limits: Limits, load: Load, nowMs: number) {
  const { requestsPerMinute, tokensPerMinute, concurrency, capNanoUsd, capPeriod } = limits;
  const left = capLeft(limits, load);
  const resetAtMs = capNanoUsd === null ? null : periodEndMs(capPeriod, nowMs);
  return {
    cap: capNanoUsd === null ? null : formatUsd(capNanoUsd),
    cap_period: capPeriod,
    used: formatUsd(load.spentNanoUsd),
    held: formatUsd(load.heldNanoUsd),
    remaining: left === null ? null : formatUsd(left),
    resets_at: resetAtMs === null ? null : new Date(resetAtMs).toISOString(),
    limits: { requests_per_minute: requestsPerMinute, tokens_per_minute: tokensPerMinute, concurrency },
    now: {
      requests_last_minute: load.requestsLastMinute,
      tokens_last_minute: load.tokensLastMinute,
      in_flight: load.inFlight,
    },
  };
}
