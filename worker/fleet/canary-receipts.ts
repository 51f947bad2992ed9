/**
 * Receipts of canaries: the second witness. Where it says the same as the edge, the node gets customers. No Wallet ever
 * hears of them, so nobody is billed and they are in nobody's usage.
 */
import type { Receipt } from '../../gpu-pool/protocol/schemas.ts';
import { addAudit } from '../db/audit.ts';
import { findTries, noteTry, passTry } from '../db/canary.ts';
import { database } from '../db/client.ts';
import { type CanaryTry, isOpen, isProbeId, parseCanaryId, receiptAgrees } from '../domain/canary.ts';
import type { Usage } from '../domain/usage.ts';
import type { Env } from '../env.ts';
import { tellPool } from './nodes.ts';

type Node = { readonly id: string; readonly modelId: string };

/** How long a receipt may be of a try that the edge does not know (yet). */
const UNKNOWN_MS_MAX = 120_000;

/** @returns `seq` of the receipts that may leave the node's journal; the others come again */
export async function takeCanaryReceipts(
  env: Env,
  node: Node,
  receipts: readonly Receipt[],
  nowMs: number,
): Promise<number[]> {
  if (receipts.length === 0) return [];
  const secondIds = receipts.flatMap(({ request_id }) => parseCanaryId(request_id)?.secondId ?? []);
  const tries = await findTries(database(env), [...new Set(secondIds)]);
  const taken: number[] = [];
  const unknown: Receipt[] = [];
  for (const receipt of receipts) {
    const verdict = await judge(env, node, { receipt, tries, nowMs });
    if (verdict === 'taken') taken.push(receipt.seq);
    if (verdict === 'unknown') unknown.push(receipt);
  }
  await refuse(env, node, unknown, nowMs);
  return [...taken, ...unknown.map(({ seq }) => seq)];
}

async function judge(
  env: Env,
  node: Node,
  { receipt, tries, nowMs }: { receipt: Receipt; tries: ReadonlyMap<string, CanaryTry>; nowMs: number },
): Promise<'taken' | 'later' | 'unknown'> {
  if (isProbeId(receipt.request_id)) return 'taken';
  const asked = parseCanaryId(receipt.request_id);
  if (asked === null || receipt.model !== node.modelId) return 'unknown';
  const tried = tries.get(asked.secondId);
  if (tried?.nodeId !== node.id) {
    // by the node's own clock, which may be wrong either way
    return Math.abs(nowMs - receipt.ended_at_ms) > UNKNOWN_MS_MAX ? 'unknown' : 'later';
  }
  if (!asked.isSecond || !isOpen(tried)) return 'taken';
  // the edge is still reading that answer
  if (tried.usage === null) return 'later';
  if (receiptAgrees(tried.usage, receipt)) await pass(env, node, { tried, usage: tried.usage, nowMs });
  else await noteTry(database(env), tried.requestId, { fault: 'receipt_differs' });
  return 'taken';
}

async function pass(
  env: Env,
  { id: nodeId }: Node,
  { tried, usage, nowMs }: { tried: CanaryTry; usage: Usage; nowMs: number },
): Promise<void> {
  const isActive = await passTry(database(env), {
    requestId: tried.requestId,
    nodeId,
    entry: {
      atMs: nowMs,
      actor: `node:${nodeId}`,
      action: 'node.canary_passed',
      subject: nodeId,
      detail: {
        prompt_tokens: usage.promptTokens,
        cached_tokens: usage.cachedTokens,
        completion_tokens: usage.completionTokens,
        reasoning_tokens: usage.reasoningTokens,
      },
    },
  });
  if (isActive) await tellPool(env, nodeId);
}

/** They would be of nothing for ever, so the node may forget them once the operator can see that they came. */
async function refuse(env: Env, node: Node, unknown: readonly Receipt[], nowMs: number): Promise<void> {
  if (unknown.length === 0) return;
  await addAudit(database(env), {
    atMs: nowMs,
    actor: `node:${node.id}`,
    action: 'receipts.refused',
    subject: node.id,
    detail: { unknown_canary: unknown.length, first_seq: unknown[0]?.seq ?? null },
  });
}
