/**
 * Hands customers' receipts to the Wallets, and canary receipts to their comparison. A receipt may leave the node's
 * journal once its Wallet has taken it, or if no Wallet ever could. A failing account does not hold back the others.
 */
import type { Receipt } from '../../gpu-pool/protocol/schemas.ts';
import { addAudit } from '../db/audit.ts';
import { database } from '../db/client.ts';
import { findExistingAccounts } from '../db/existing-accounts.ts';
import { CANARY_SUBJECT } from '../domain/canary.ts';
import { isId } from '../domain/ids.ts';
import { fromNodeUsage } from '../domain/usage.ts';
import type { WalletReceipt } from '../domain/wallet.ts';
import type { Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { takeCanaryReceipts } from './canary-receipts.ts';

type Fault = 'malformed_id' | 'other_model' | 'unknown_account';

/** Ids of accounts that exist. Accounts are never deleted, so an entry never goes stale. */
const seenAccounts = new Set<string>();
const SEEN_ACCOUNTS_MAX = 10_000;

/** @returns `seq` of the receipts that may leave the node's journal */
export async function takeReceipts(
  env: Env,
  node: { id: string; modelId: string },
  receipts: readonly Receipt[],
  nowMs: number,
): Promise<number[]> {
  if (receipts.length === 0) return [];
  const [ofCanaries, ofAccounts] = partition(receipts);
  // Calling a Wallet creates it, so each account is looked up first: a rogue node cannot create Wallets.
  await lookUpAccounts(
    env,
    ofAccounts.map((receipt) => receipt.account_id).filter((id) => isId('acct', id)),
  );
  const refused = ofAccounts.filter((receipt) => faultOf(receipt, node.modelId) !== null);
  const byAccount = Map.groupBy(
    ofAccounts.filter((receipt) => faultOf(receipt, node.modelId) === null),
    (receipt) => receipt.account_id,
  );
  const outcomes = await Promise.allSettled([
    takeCanaryReceipts(env, node, ofCanaries, nowMs),
    refuseReceipts(env, node, refused, nowMs),
    ...[...byAccount].map(([accountId, own]) => reconcile(env, accountId, node.id, own)),
  ]);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') {
      const event = { event: 'receipts_not_taken', nodeId: node.id, error: describeError(outcome.reason) };
      console.error(JSON.stringify(event));
    }
  }
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
}

/** Separates canary receipts, which belong to no account, from those for Wallets. */
function partition(receipts: readonly Receipt[]): [ofCanaries: Receipt[], ofAccounts: Receipt[]] {
  const { canary = [], account = [] } = Object.groupBy(receipts, ({ account_id }) =>
    account_id === CANARY_SUBJECT ? 'canary' : 'account',
  );
  return [canary, account];
}

function faultOf(receipt: Receipt, modelId: string): Fault | null {
  if (!isId('acct', receipt.account_id) || !isId('req', receipt.request_id)) return 'malformed_id';
  if (receipt.model !== modelId) return 'other_model';
  return seenAccounts.has(receipt.account_id) ? null : 'unknown_account';
}

async function lookUpAccounts(env: Env, accountIds: readonly string[]): Promise<void> {
  if (seenAccounts.size > SEEN_ACCOUNTS_MAX) seenAccounts.clear();
  const unseen = [...new Set(accountIds)].filter((id) => !seenAccounts.has(id));
  if (unseen.length === 0) return;
  for (const id of await findExistingAccounts(database(env), unseen)) seenAccounts.add(id);
}

async function reconcile(env: Env, accountId: string, nodeId: string, receipts: readonly Receipt[]) {
  const deferred = await env.WALLET.getByName(accountId).reconcile(
    receipts.map((receipt) => toWalletReceipt(nodeId, receipt)),
  );
  const taken = receipts.filter(({ request_id }) => !deferred.includes(request_id));
  return taken.map(({ seq }) => seq);
}

/** @param nodeId the node that signed the heartbeat; nothing in the receipt can name another */
function toWalletReceipt(nodeId: string, receipt: Receipt): WalletReceipt {
  return {
    requestId: receipt.request_id,
    nodeId,
    outcome: receipt.outcome,
    usage: fromNodeUsage(receipt.usage),
    ttftMs: receipt.ttft_ms,
    overrunTokens: receipt.overrun_tokens,
    ticket: receipt.ticket ?? null,
  };
}

/**
 * Takes receipts that no Wallet will ever accept: an audit row shows the operator that they came, and the node may
 * drop them.
 */
async function refuseReceipts(
  env: Env,
  node: { id: string; modelId: string },
  receipts: readonly Receipt[],
  nowMs: number,
): Promise<number[]> {
  if (receipts.length === 0) return [];
  const count: Record<Fault, number> = { malformed_id: 0, other_model: 0, unknown_account: 0 };
  for (const receipt of receipts) count[faultOf(receipt, node.modelId) ?? 'unknown_account'] += 1;
  await addAudit(database(env), {
    atMs: nowMs,
    actor: `node:${node.id}`,
    action: 'receipts.refused',
    subject: node.id,
    detail: { ...count, first_seq: receipts[0]?.seq ?? null },
  });
  return receipts.map((receipt) => receipt.seq);
}
