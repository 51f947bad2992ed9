/** Keeps the Wallet's recharge threshold in step with D1: the owner's level, or none. */
import { type AutoRecharge, findAutoRecharge } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';

/** Reads D1 again after it set the Wallet: of two concurrent changes, the call that sets last has seen both. */
export async function syncRechargeThreshold(env: Env, accountId: string): Promise<void> {
  const db = database(env);
  const wallet = env.WALLET.getByName(accountId);
  let setLevel: NanoUsd | null | undefined;
  for (;;) {
    const level = levelOf(await findAutoRecharge(db, accountId));
    if (level === setLevel) return;
    await wallet.setAlertThresholds({ rechargeBelowNanoUsd: level });
    setLevel = level;
  }
}

function levelOf(rule: AutoRecharge | null): NanoUsd | null {
  return rule?.enabled && rule.methodRef !== null ? nanoUsd(rule.belowNanoUsd) : null;
}
