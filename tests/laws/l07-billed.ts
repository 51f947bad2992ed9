/** L7: billed tokens ≤ generated tokens, and ≥ delivered tokens − one flush interval. */

import type { EngineCount, Law, World } from './world.ts';
import { boundsOf, findings, groupBy, requestsOf } from './world-views.ts';

export const billed: Law = (world) => [...soundCounts(world), ...notTooMuch(world), ...notTooLittle(world)];

/** A part larger than its whole would give a negative count of tokens, and so a charge below zero. */
function soundCounts(world: World) {
  const { found, report } = findings('L7');
  for (const [requestId, { row }] of requestsOf(world)) {
    const { prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens } = row;
    const counts = [prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens];
    const sound = counts.every((count) => Number.isSafeInteger(count) && count >= 0);
    if (!sound || cached_tokens > prompt_tokens || reasoning_tokens > completion_tokens)
      report(requestId, `was billed ${counts.join(', ')} tokens of prompt, cached, completion, reasoning`);
  }
  return found;
}

function notTooMuch(world: World) {
  const { found, report } = findings('L7');
  if (!world.nodes) return found;
  const counted = countedOf(world);
  for (const [requestId, { row }] of requestsOf(world)) {
    if (row.node_id === null) continue;
    const attempts = counted.get(`${requestId} ${row.node_id}`) ?? [];
    const generated = attempts.reduce((sum, each) => sum + each.completionTokens, 0);
    if (row.completion_tokens > generated)
      report(requestId, `was billed ${row.completion_tokens} tokens, ${row.node_id} generated ${generated}`);
  }
  return found;
}

function notTooLittle(world: World) {
  const { found, report } = findings('L7');
  const { flushTokens } = boundsOf(world);
  const counted = countedOf(world);
  const requests = requestsOf(world);
  for (const { requestId, deliveredTokens, costNanoUsd } of world.clients ?? []) {
    const row = requestId === null ? undefined : requests.get(requestId)?.row;
    if (!row || row.state === 'held') continue;
    const attempts = [...(world.nodes ?? [])].flatMap(
      ({ nodeId }) => counted.get(`${requestId} ${nodeId}`) ?? [],
    );
    const unseen = attempts.reduce((sum, each) => sum + (each.tailTokensMax ?? 0), 0);
    if (deliveredTokens !== undefined && row.completion_tokens < deliveredTokens - flushTokens - unseen)
      report(row.request_id, `was billed ${row.completion_tokens} tokens, ${deliveredTokens} were delivered`);
    // Only posted requests are compared: an expired one is settled after its answer, whose cost is then not final.
    if (row.state === 'posted' && typeof costNanoUsd === 'number' && costNanoUsd !== row.charge_nano_usd)
      report(
        row.request_id,
        `reported to its client a cost of ${costNanoUsd} and charged ${row.charge_nano_usd}`,
      );
  }
  return found;
}

const countsByWorld = new WeakMap<World, Map<string, EngineCount[]>>();

function countedOf(world: World): Map<string, EngineCount[]> {
  const cached = countsByWorld.get(world);
  if (cached) return cached;
  const counts = new Map<string, EngineCount[]>();
  for (const node of world.nodes ?? [])
    for (const [id, attempts] of groupBy(node.counts, ({ requestId }) => `${requestId} ${node.nodeId}`))
      counts.set(id, attempts);
  countsByWorld.set(world, counts);
  return counts;
}
