/**
 * Compares canary receipts with what the edge counted. Where both agree, the node becomes active and gets customers'
 * requests. No Wallet receives these receipts, so they are neither billed nor part of any usage.
 */
import type { Receipt } from '../../gpu-pool/protocol/schemas.ts';
import { addAudit } from '../db/audit.ts';
import { findCanaryAttempts, passCanaryAttempt, recordCanaryAttempt } from '../db/canary.ts';
import { database } from '../db/client.ts';
import { type CanaryAttempt, isOpen, isProbeId, parseCanaryId, receiptAgrees } from '../domain/canary.ts';
import type { Usage } from '../domain/usage.ts';
import type { Env } from '../env.ts';
import { notifyPool } from './nodes.ts';

type Node = { readonly id: string; readonly modelId: string };

/** How long a receipt of an unknown attempt is deferred: the edge may not have recorded the attempt yet. */
const UNKNOWN_MS_MAX = 120_000;

/** @returns `seq` of the receipts that may leave the node's journal; the node sends the others again */
export async function takeCanaryReceipts(
  env: Env,
  node: Node,
  receipts: readonly Receipt[],
  nowMs: number,
): Promise<number[]> {
  if (receipts.length === 0) return [];
  const secondIds = receipts.flatMap(({ request_id }) => parseCanaryId(request_id)?.secondId ?? []);
  const attempts = await findCanaryAttempts(database(env), [...new Set(secondIds)]);
  const taken: number[] = [];
  const unknown: Receipt[] = [];
  for (const receipt of receipts) {
    const verdict = await judge(env, node, { receipt, attempts, nowMs });
    if (verdict === 'taken') taken.push(receipt.seq);
    if (verdict === 'unknown') unknown.push(receipt);
  }
  await refuse(env, node, unknown, nowMs);
  return [...taken, ...unknown.map(({ seq }) => seq)];
}

async function judge(
  env: Env,
  node: Node,
  {
    receipt,
    attempts,
    nowMs,
  }: { receipt: Receipt; attempts: ReadonlyMap<string, CanaryAttempt>; nowMs: number },
): Promise<'taken' | 'deferred' | 'unknown'> {
  if (isProbeId(receipt.request_id)) return 'taken';
  const parsed = parseCanaryId(receipt.request_id);
  if (parsed === null || receipt.model !== node.modelId) return 'unknown';
  const attempt = attempts.get(parsed.secondId);
  if (attempt?.nodeId !== node.id) {
    // The age is by the node's own clock, which may be fast or slow.
    return Math.abs(nowMs - receipt.ended_at_ms) > UNKNOWN_MS_MAX ? 'unknown' : 'deferred';
  }
  if (!parsed.isSecond || !isOpen(attempt)) return 'taken';
  // The edge is still reading this answer.
  if (attempt.usage === null) return 'deferred';
  if (receiptAgrees(attempt.usage, receipt)) await pass(env, node, { attempt, usage: attempt.usage, nowMs });
  else await recordCanaryAttempt(database(env), attempt.requestId, { fault: 'receipt_differs' });
  return 'taken';
}

async function pass(
  env: Env,
  { id: nodeId }: Node,
  { attempt, usage, nowMs }: { attempt: CanaryAttempt; usage: Usage; nowMs: number },
): Promise<void> {
  const isActive = await passCanaryAttempt(database(env), {
    requestId: attempt.requestId,
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
  if (isActive) await notifyPool(env, nodeId);
}

/**
 * Takes receipts that will never match an attempt: an audit row shows the operator that they came, and the node may
 * drop them.
 */
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
