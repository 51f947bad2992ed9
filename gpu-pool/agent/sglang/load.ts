/** SGLang's current load and health. */
import * as z from 'zod';
import { LOAD_MAX, NO_LOAD, type NodeLoad } from '../../protocol/schemas.ts';
import { callEngine, type Engine } from '../engine-client.ts';

const PROBE_TIMEOUT_MS = 3_000;

const count = z.number().min(0).catch(0).transform(Math.round);
const number = z.number().min(0).catch(0);
const RankLoad = z.object({
  num_running_reqs: count,
  num_waiting_reqs: count,
  num_waiting_uncached_tokens: count,
  num_used_tokens: count,
  max_total_num_tokens: count,
  max_running_requests: count,
  gen_throughput: number,
  cache_hit_rate: number,
});
/** The older /get_load reports less. */
const LegacyRankLoad = z.object({
  num_reqs: z.int().min(0),
  num_waiting_reqs: count,
  num_tokens: count,
});

/**
 * Load summed over data-parallel ranks, each of which has a queue of `queuedPerRankMax`. NO_LOAD where the
 * connection is refused; null where neither endpoint gives a usable answer.
 */
export async function readLoad(
  engine: Engine,
  { queuedPerRankMax }: { queuedPerRankMax: number | null },
): Promise<NodeLoad | null> {
  const get = (path: string) => callEngine(engine, { method: 'GET', path, timeoutMs: PROBE_TIMEOUT_MS });
  const answer = await get('/v1/loads?include=core');
  if ('failure' in answer) return answer.failure === 'refused' ? NO_LOAD : null;
  const loads = z.object({ loads: z.array(RankLoad).min(1) }).safeParse(answer.body);
  if (answer.status === 200 && loads.success) return sumLoads(loads.data.loads, queuedPerRankMax);
  if (answer.status !== 404) return null;
  const legacy = await get('/get_load');
  if ('failure' in legacy || legacy.status !== 200) return null;
  const ranks = z
    .union([z.array(LegacyRankLoad), LegacyRankLoad.transform((rank) => [rank])])
    .safeParse(legacy.body);
  if (!ranks.success) return null;
  return sumLoads(
    ranks.data.map((rank) => ({
      ...RankLoad.parse({}),
      // num_reqs includes the waiting ones.
      num_running_reqs: Math.max(0, rank.num_reqs - rank.num_waiting_reqs),
      num_waiting_reqs: rank.num_waiting_reqs,
      num_used_tokens: rank.num_tokens,
    })),
    queuedPerRankMax,
  );
}

function sumLoads(ranks: z.infer<typeof RankLoad>[], queuedPerRankMax: number | null): NodeLoad {
  // A count beyond the protocol's bounds would make the edge reject the whole heartbeat.
  const sum = (field: keyof z.infer<typeof RankLoad>, most: number) =>
    Math.min(
      most,
      ranks.reduce((total, rank) => total + rank[field], 0),
    );
  const { requests, tokens, tokensPerSecond } = LOAD_MAX;
  const queuedMax = queuedPerRankMax === null ? null : Math.min(requests, queuedPerRankMax * ranks.length);
  return {
    running_requests: sum('num_running_reqs', requests),
    waiting_requests: sum('num_waiting_reqs', requests),
    waiting_tokens: sum('num_waiting_uncached_tokens', tokens),
    used_tokens: sum('num_used_tokens', tokens),
    capacity_tokens: sum('max_total_num_tokens', tokens),
    max_running_requests: sum('max_running_requests', requests),
    max_queued_requests: queuedMax,
    generation_tokens_per_second: sum('gen_throughput', tokensPerSecond),
    cache_hit_rate: Math.min(1, sum('cache_hit_rate', ranks.length) / ranks.length),
  };
}

/** ok; busy: no answer or a bad one, which a long prefill can cause; unreachable: the connection was refused */
export async function checkHealth(engine: Engine): Promise<'ok' | 'busy' | 'unreachable'> {
  const answer = await callEngine(engine, { method: 'GET', path: '/health', timeoutMs: PROBE_TIMEOUT_MS });
  if ('failure' in answer) return answer.failure === 'refused' ? 'unreachable' : 'busy';
  return answer.status === 200 ? 'ok' : 'busy';
}
