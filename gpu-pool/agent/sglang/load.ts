/** SGLang's current load and health. */
import * as z from 'zod';
import { LOAD_MAX, type NodeLoad } from '../../protocol/schemas.ts';
import { callEngine, type Engine } from '../engine-client.ts';
import type { RankSnapshot } from '../engine-pulse.ts';

/** The HTTP server answers out of shared memory, whatever the scheduler does (v1_loads.py). */
const LOADS_TIMEOUT_MS = 3_000;
/** A busy engine answers after a step, and one that hangs after 20 s (http_server.py, `HEALTH_CHECK_TIMEOUT`). */
const HEALTH_TIMEOUT_MS = 25_000;
/** A health check first sleeps for a second, unless the engine is starting or ending and says so at once. */
const AT_ONCE_MS = 900;

const count = z.number().min(0).catch(0).transform(Math.round);
const number = z.number().min(0).catch(0);
const RankLoad = z.object({
  dp_rank: z.int().min(0).nullish().catch(null),
  /** Seconds by the clock of the rank's host. */
  timestamp: z.number().positive().nullish().catch(null),
  total_prefill_uncached_tokens: z.number().min(0).nullish().catch(null),
  total_prefill_busy_us: z.number().min(0).nullish().catch(null),
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

/** A look at the engine's load. */
export interface EngineLoad {
  /** Summed over data-parallel ranks. */
  load: NodeLoad;
  ranks: RankSnapshot[];
}

/**
 * The engine's load; each data-parallel rank has a queue of `queuedPerRankMax`. `refused` where nothing listens; null where
 * neither endpoint gives a usable answer.
 */
export async function readLoad(
  engine: Engine,
  { queuedPerRankMax }: { queuedPerRankMax: number | null },
): Promise<EngineLoad | 'refused' | null> {
  const get = (path: string) => callEngine(engine, { method: 'GET', path, timeoutMs: LOADS_TIMEOUT_MS });
  const answer = await get('/v1/loads?include=core');
  if ('failure' in answer) return answer.failure === 'refused' ? 'refused' : null;
  const loads = z.object({ loads: z.array(RankLoad).min(1) }).safeParse(answer.body);
  if (answer.status === 200 && loads.success) return engineLoad(loads.data.loads, queuedPerRankMax);
  if (answer.status !== 404) return null;
  const legacy = await get('/get_load');
  if ('failure' in legacy || legacy.status !== 200) return null;
  const ranks = z
    .union([z.array(LegacyRankLoad), LegacyRankLoad.transform((rank) => [rank])])
    .safeParse(legacy.body);
  if (!ranks.success) return null;
  return engineLoad(
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

type RankLoad = z.infer<typeof RankLoad>;

function engineLoad(ranks: RankLoad[], queuedPerRankMax: number | null): EngineLoad {
  return { load: sumLoads(ranks, queuedPerRankMax), ranks: ranks.map(toSnapshot) };
}

function toSnapshot(load: RankLoad, index: number): RankSnapshot {
  const { total_prefill_uncached_tokens: tokens, total_prefill_busy_us: microseconds } = load;
  return {
    rank: load.dp_rank ?? index,
    at: load.timestamp ?? null,
    waits: load.num_waiting_reqs > 0,
    prefilled: tokens == null || microseconds == null ? null : { tokens, microseconds },
  };
}

/** The fields that are summed over ranks. */
type Count =
  | 'gen_throughput'
  | 'cache_hit_rate'
  | `num_${'running' | 'waiting'}_reqs`
  | 'num_waiting_uncached_tokens'
  | 'num_used_tokens'
  | 'max_total_num_tokens'
  | 'max_running_requests';

function sumLoads(ranks: RankLoad[], queuedPerRankMax: number | null): NodeLoad {
  // A count beyond the protocol's bounds would make the edge reject the whole heartbeat.
  const sum = (field: Count, most: number) =>
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

/**
 * The engine's answer to a health check.
 * - ok: its scheduler has sent something since.
 * - off: it says at once that it is starting or ending.
 * - refused: nothing listens.
 * - unknown: anything else. Within a long prefill step a check fails as it does where the scheduler hangs.
 */
export async function checkHealth(
  engine: Engine,
  { now, signal }: { now: () => number; signal: AbortSignal },
): Promise<'ok' | 'off' | 'refused' | 'unknown'> {
  const startedMs = now();
  const call = { method: 'GET', path: '/health', timeoutMs: HEALTH_TIMEOUT_MS, signal } as const;
  const answer = await callEngine(engine, call);
  if ('failure' in answer) return answer.failure === 'refused' ? 'refused' : 'unknown';
  if (answer.status === 200) return 'ok';
  return answer.status === 503 && now() - startedMs < AT_ONCE_MS ? 'off' : 'unknown';
}
