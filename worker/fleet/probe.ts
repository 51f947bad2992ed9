/**
 * The probes behind the status page, which run once a minute: whether the edge's own stores answer, and for each model
 * whether a node of its pool answers a real request.
 */
import { loadCatalogue, type Model } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import { recordProbes } from '../db/probes.ts';
import { newProbeId } from '../domain/canary.ts';
import { isServing, type NodeView } from '../domain/node.ts';
import { API_COMPONENT, type Probe, type ProbeFault } from '../domain/status.ts';
import type { Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { askNode, canaryQuestion } from './ask-node.ts';

/** Safe to repeat: only one run is recorded for a minute. @param random from 0 to 1; it selects the node of each pool */
export async function probeAll(
  env: Env,
  { nowMs, random }: { nowMs: number; random: number },
): Promise<void> {
  const db = database(env);
  const timed = async (component: string, check: () => Promise<ProbeFault | null>): Promise<Probe> => {
    const startedMs = Date.now();
    const fault = await check().catch((error: unknown) => {
      console.error(JSON.stringify({ event: 'probe_failed', component, error: describeError(error) }));
      return 'store' as const;
    });
    return { component, atMs: nowMs, ok: fault === null, latencyMs: Date.now() - startedMs, fault };
  };
  let models: readonly Model[] = [];
  const api = await timed(API_COMPONENT, async () => {
    models = await loadCatalogue(db);
    await env.POOL.getByName(models[0]?.id ?? API_COMPONENT).snapshot();
    return null;
  });
  const modelProbes = await Promise.all(
    models.map(async (model) => {
      const { id } = model;
      const { nodes } = await env.POOL.getByName(id).snapshot();
      // A model without any node is not on offer, so it is not down.
      return nodes.length === 0 ? [] : timed(id, () => probeNodes(env, { model, nodes }, { nowMs, random }));
    }),
  );
  // While D1 is down, nothing can be recorded. The status page shows missing probes.
  await recordProbes(db, [api, ...modelProbes.flat()], nowMs);
}

async function probeNodes(
  env: Env,
  { model, nodes }: { model: Model; nodes: readonly NodeView[] },
  { nowMs, random }: { nowMs: number; random: number },
): Promise<ProbeFault | null> {
  const serving = nodes.filter(isServing);
  const node = serving[Math.floor(random * serving.length)];
  if (!node) return 'no_node';
  const answer = await askNode(env, node, canaryQuestion(newProbeId(nowMs), model));
  if (typeof answer !== 'string') return null;
  console.error(JSON.stringify({ event: 'probe_failed', node: node.id, fault: answer }));
  return 'no_answer';
}
