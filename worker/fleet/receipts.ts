/**
 * Receipts on their way to the Wallets, and those of canaries to their comparison. A receipt may leave the node's
 * journal when its Wallet has taken it, or when no Wallet ever could; one failing account never holds back the others.
 */
import type { Receipt } from '../../gpu-pool/protocol/schemas.ts';
import { addAudit } from '../db/audit.ts';
import { database } from '../db/client.ts';
import { existingAccounts } from '../db/existing-accounts.ts';
import { CANARY_SUBJECT } from '../domain/canary.ts';
import { isId } from '../domain/ids.ts';
import { fromNodeUsage } from '../domain/usage.ts';
import type { WalletReceipt } from '../domain/wallet.ts';
import type { Env } from '../env.ts';
import { takeCanaryReceipts } from './canary-receipts.ts';

type Fault = 'malformed_id' | 'other_model' | 'unknown_account';

/** Accounts are never deleted, so one that was seen stays known. */
const seenAccounts = new Set<string>();
const SEEN_ACCOUNTS_MAX = 10_000;

/** @returns `seq` of the receipts that are safe at the edge */
export async function takeReceipts(
  env: Env,
  node: { id: string; modelId: string },
  receipts: readonly Receipt[],
  nowMs: number,
): Promise<number[]> {
  if (receipts.length === 0) return [];
  const [ofCanaries, ofAccounts] = partition(receipts);
  // Reaching for a Wallet creates it, so the account is known to exist before: a rogue node cannot create any.
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
    if (outcome.status === 'rejected') console.error('receipts_not_taken', node.id, outcome.reason);
  }
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
}

/** A canary's belong to no account, so they never come near a Wallet. */
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
  for (const id of await existingAccounts(database(env), unseen)) seenAccounts.add(id);
}

async function reconcile(env: Env, accountId: string, nodeId: string, receipts: readonly Receipt[]) {
  const later = await env.WALLET.getByName(accountId).reconcile(
    receipts.map((receipt) => toWalletReceipt(nodeId, receipt)),
  );
  const taken = receipts.filter(({ request_id }) => !later.includes(request_id));
  return taken.map(({ seq }) => seq);
}

/** The node is the one that signed the heartbeat, whatever the receipt may claim. */
function toWalletReceipt(nodeId: string, receipt: Receipt): WalletReceipt {
  return {
    requestId: receipt.request_id,
    nodeId,
    outcome: receipt.outcome,
    usage: fromNodeUsage(receipt.usage),
    ttftMs: receipt.ttft_ms,
    ticket: receipt.ticket ?? null,
  };
}

/** They would be wrong for ever, so the node may forget them once the operator can see that they came. */
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
