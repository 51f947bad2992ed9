/** Keeps the Wallet watching for what D1 says: the level of the owner's choice, or nothing. */
import { type AutoRecharge, findAutoRecharge } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';

/** Looks again after it told the Wallet: of two who change it at once, the one who tells last has seen both. */
export async function syncRechargeWatch(env: Env, accountId: string): Promise<void> {
  const db = database(env);
  const wallet = env.WALLET.getByName(accountId);
  let told: NanoUsd | null | undefined;
  for (;;) {
    const level = levelOf(await findAutoRecharge(db, accountId));
    if (level === told) return;
    await wallet.setAlertThresholds({ rechargeBelowNanoUsd: level });
    told = level;
  }
}

function levelOf(rule: AutoRecharge | null): NanoUsd | null {
  return rule?.enabled && rule.methodRef !== null ? nanoUsd(rule.belowNanoUsd) : null;
}
