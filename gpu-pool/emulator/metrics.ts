/** The engine's totals in Prometheus' text format, under SGLang's names (metrics/collector.py). */
import type { Engine } from './engine.ts';
import type { Histogram } from './stats.ts';

export function renderMetrics(engine: Engine, modelPath: string): string {
  const { stats, load, profile } = engine;
  const labels = `model_name="${modelPath}"`;
  const single = (type: 'gauge' | 'counter', name: string, value: number) =>
    // A counter appears when it counts for the first time.
    type === 'counter' && value === 0
      ? ''
      : `# TYPE sglang:${name} ${type}\nsglang:${name}{${labels}} ${value}\n`;
  return [
    single('gauge', 'num_running_reqs', load.runningRequests),
    single('gauge', 'num_queue_reqs', load.waitingRequests),
    single('gauge', 'num_used_tokens', load.usedTokens),
    single('gauge', 'token_usage', load.usedTokens / profile.kvCapacityTokens),
    single('gauge', 'cache_hit_rate', stats.cacheHitRate),
    single('gauge', 'gen_throughput', stats.generationThroughput),
    single('counter', 'prompt_tokens_total', stats.promptTokens),
    single('counter', 'generation_tokens_total', stats.generationTokens),
    single('counter', 'cached_tokens_total', stats.cachedTokens),
    single('counter', 'num_requests_total', stats.finishedRequests),
    single('counter', 'num_aborted_requests_total', stats.abortedRequests),
    histogram('time_to_first_token_seconds', stats.timeToFirstToken, labels),
    histogram('inter_token_latency_seconds', stats.interTokenLatency, labels),
  ].join('');
}

function histogram(name: string, { bounds, below, count, sumSeconds }: Histogram, labels: string): string {
  const buckets = bounds.map(
    (bound, index) => `sglang:${name}_bucket{${labels},le="${bound}"} ${below[index]}\n`,
  );
  return [
    `# TYPE sglang:${name} histogram\n`,
    ...buckets,
    `sglang:${name}_bucket{${labels},le="+Inf"} ${count}\n`,
    `sglang:${name}_sum{${labels}} ${sumSeconds}\n`,
    `sglang:${name}_count{${labels}} ${count}\n`,
  ].join('');
}
