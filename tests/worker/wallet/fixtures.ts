/** Fixtures for tests of the Wallet: an account with credit, a clock to move, and calls as edges and nodes make them. */
import { runDurableObjectAlarm } from 'cloudflare:test';
import { env as bindings } from 'cloudflare:workers';
import { afterEach, vi } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import type { Limits, ScopedLimits } from '../../../worker/domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../../../worker/domain/money.ts';
import type { Usage } from '../../../worker/domain/usage.ts';
import type { AdmitRequest, WalletReceipt } from '../../../worker/domain/wallet.ts';
import type { Env } from '../../../worker/env.ts';
import { checkedAtEnd } from './laws.ts';

export const env = bindings as unknown as Env;

export const price = {
  id: 'deepseek-r1-0528/standard/1',
  cacheHitNanoUsd: 140,
  cacheMissNanoUsd: 550,
  outputNanoUsd: 2_190,
};

const UNREACHED: Limits = {
  requestsPerMinute: 1_000_000,
  tokensPerMinute: null,
  concurrency: 1_000_000,
  capNanoUsd: null,
  capPeriod: 'total',
};

/** Limits so wide that no test reaches them, except those that are named. */
export function limited(key: Partial<Limits> = {}, account: Partial<Limits> = {}): ScopedLimits {
  return { key: { ...UNREACHED, ...key }, account: { ...UNREACHED, ...account } };
}

export function usage(prompt: number, cached: number, completion: number): Usage {
  return { promptTokens: prompt, cachedTokens: cached, completionTokens: completion, reasoningTokens: 0 };
}

export async function walletWith(amount: NanoUsd, accountId = newId('acct', Date.now())) {
  const wallet = checkedAtEnd(accountId, env.WALLET.getByName(accountId));
  if (amount > 0) await wallet.grant({ grantId: 'trial', amountNanoUsd: amount });
  const admit = (over: Partial<AdmitRequest> & { wanted?: number; least?: number } = {}) => {
    const { wanted = 1_000_000, least = 1_000, ...rest } = over;
    return wallet.admit({
      requestId: newId('req', Date.now()),
      keyId: 'key_1',
      modelId: 'deepseek-r1-0528',
      stream: true,
      limits: limited(),
      tokens: 0,
      background: false,
      price,
      hold: { wantedNanoUsd: nanoUsd(wanted), leastNanoUsd: nanoUsd(least) },
      ...rest,
    });
  };
  const resize = (requestId: string, wanted: number) =>
    wallet.resize({ requestId, wantedNanoUsd: nanoUsd(wanted), tokens: null });
  /** Admits a request and ends it with this usage. */
  const charge = async (used: Usage, over: Parameters<typeof admit>[0] = {}) => {
    const requestId = newId('req', Date.now());
    const admitted = await admit({ requestId, ...over });
    if (!admitted.ok) throw new Error(`not admitted: ${admitted.refusal.reason}`);
    await wallet.post({ requestId, nodeId: 'node_a', usage: used, ending: 'finished', ttftMs: 1 });
    return requestId;
  };
  return { accountId, wallet, admit, resize, charge };
}

export function receiptOf(
  requestId: string,
  nodeId: string,
  counted: Usage,
  outcome: WalletReceipt['outcome'] = 'aborted',
): WalletReceipt {
  return { requestId, nodeId, outcome, usage: counted, ttftMs: 5, ticket: null };
}

afterEach(() => {
  vi.useRealTimers();
});

/** Moves the clock that the Wallet reads. Alarms do not follow it, so tests run them by hand. */
export function passTime(ms: number) {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}

/** Runs the Wallet's alarm, which publishes its outbox to D1. */
export async function publish(wallet: Parameters<typeof runDurableObjectAlarm>[0]): Promise<void> {
  await runDurableObjectAlarm(wallet);
}
