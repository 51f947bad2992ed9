/**
 * Runs a canary attempt at a node that gets no customers' requests yet: the prompt twice, then its tasks, sent as
 * the gateway sends a customer's request. This file records what the edge saw; the node's receipt then decides (canary-receipts.ts).
 */
import { beginCanaryAttempt, canaryStanding, recordCanaryAttempt } from '../db/canary.ts';
import { loadCatalogue, type Model } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import { findNode } from '../db/nodes.ts';
import {
  type CanaryFault,
  faultInAnswers,
  newCanaryIds,
  nextAttemptAtMs,
  TASK_MS_MAX,
} from '../domain/canary.ts';
import { canaryTasks, TASK_PROMPT_TOKENS_MAX } from '../domain/canary-tasks.ts';
import type { NodeView } from '../domain/node.ts';
import { isUnreachable } from '../domain/routing/health.ts';
import type { Usage } from '../domain/usage.ts';
import type { Env } from '../env.ts';
import { askNode, canaryQuestion } from './ask-node.ts';

/** Safe to repeat, even concurrently: D1 lets one call begin an attempt, and only when one is due. */
export async function runCanary(env: Env, nodeId: string, nowMs: number): Promise<void> {
  const db = database(env);
  const { state, sinceMs, attempts } = await canaryStanding(db, nodeId);
  const dueAtMs = nextAttemptAtMs(attempts, sinceMs);
  if (state !== 'canary' || dueAtMs === null || nowMs < dueAtMs) return;
  const [node, catalogue] = await Promise.all([viewOf(env, nodeId), loadCatalogue(db)]);
  const model = catalogue.find(({ id }) => id === node?.modelId);
  // The node went away while the task waited. Once it is back, its heartbeats order another attempt.
  if (node === null || model === undefined) return;

  const ids = newCanaryIds(nowMs);
  const attempt = { requestId: ids.secondId, nodeId, atMs: nowMs, newest: attempts[0] };
  if (!(await beginCanaryAttempt(db, attempt))) return;
  await recordCanaryAttempt(db, ids.secondId, await tryNode(env, { node, model, ids }));
}

/** The node as its Pool sees it, with its address from D1; null while it is silent, has no engine, or is draining. */
async function viewOf(env: Env, nodeId: string): Promise<NodeView | null> {
  const registered = await findNode(database(env), nodeId);
  if (registered === null) return null;
  const { nodes } = await env.POOL.getByName(registered.modelId).snapshot();
  const view = nodes.find(({ id }) => id === nodeId);
  if (!view || isUnreachable(view.health) || view.draining) return null;
  return { ...view, url: registered.url };
}

interface CanaryTarget {
  readonly node: NodeView;
  readonly model: Model;
  readonly ids: ReturnType<typeof newCanaryIds>;
}

async function tryNode(
  env: Env,
  target: CanaryTarget,
): Promise<{ usage: Usage | null; fault: CanaryFault | null }> {
  const twice = await askTwice(env, target);
  return twice.fault === null ? { ...twice, fault: await askTasks(env, target) } : twice;
}

async function askTwice(
  env: Env,
  { node, model, ids: { firstId, secondId } }: CanaryTarget,
): Promise<{ usage: Usage | null; fault: CanaryFault | null }> {
  const first = await askNode(env, node, canaryQuestion(firstId, model));
  if (typeof first === 'string') return { usage: null, fault: first };
  const second = await askNode(env, node, canaryQuestion(secondId, model));
  if (typeof second === 'string') return { usage: null, fault: second };
  return { usage: second.usage, fault: faultInAnswers([first, second], model) };
}

/** @returns the first fault in the answers to the tasks */
async function askTasks(
  env: Env,
  { node, model, ids: { taskIds } }: CanaryTarget,
): Promise<CanaryFault | null> {
  for (const [position, { request, faultIn }] of canaryTasks(model).entries()) {
    const answer = await askNode(env, node, {
      requestId: taskIds[position]!,
      request,
      promptTokensMax: TASK_PROMPT_TOKENS_MAX,
      answerMsMax: TASK_MS_MAX,
      contextTokens: model.contextTokens,
    });
    const fault = typeof answer === 'string' ? answer : faultIn(answer.text);
    if (fault !== null) return fault;
  }
  return null;
}
