/** Load, health and metrics. */

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { IDLE_MS } from '../../../../gpu-pool/agent/engine-connections.ts';
import { checkHealth, readLoad } from '../../../../gpu-pool/agent/sglang/load.ts';
import { type Assumption, notApplicable, verdict, withoutFaults } from '../assumption.ts';
import { freshWord, user } from '../prompts.ts';
import { begun, eventually } from '../subject.ts';

const LOADS = [
  'num_running_reqs',
  'num_waiting_reqs',
  'num_waiting_uncached_tokens',
  'num_used_tokens',
  'max_total_num_tokens',
  'max_running_requests',
  'gen_throughput',
  'cache_hit_rate',
] as const;

const METRICS = [
  'num_running_reqs',
  'num_queue_reqs',
  'num_used_tokens',
  'token_usage',
  'cache_hit_rate',
  'gen_throughput',
  'prompt_tokens_total',
  'generation_tokens_total',
  'cached_tokens_total',
  'num_requests_total',
  'num_aborted_requests_total',
  'time_to_first_token_seconds_bucket',
  'inter_token_latency_seconds_bucket',
] as const;

export const LOAD: readonly Assumption[] = [
  {
    id: 'load/fields',
    says: '/v1/loads?include=core has a load of each rank with every number that the agent reads',
    madeBy: ['gpu-pool/agent/sglang/load.ts', 'gpu-pool/emulator/routes.ts'],
    async check({ engine }) {
      const { body } = await engine.call('/v1/loads?include=core');
      const ranks = (body as { loads?: Record<string, unknown>[] }).loads ?? [];
      if (ranks.length === 0) return verdict('loads', 'none', false);
      const missing = LOADS.filter((name) => ranks.some((rank) => typeof rank[name] !== 'number'));
      return withoutFaults(
        `${LOADS.length} numbers a rank`,
        missing.map((name) => `no ${name}`),
      );
    },
  },
  {
    id: 'load/counts',
    says: 'the load counts each choice that runs, and none once its request has ended',
    madeBy: ['gpu-pool/agent/abort-watch.ts', 'gpu-pool/agent/engine-watch.ts'],
    async check({ engine, places }) {
      const choices = Math.min(3, places.running);
      const running = engine.start(engine.endless({ n: choices }));
      await begun(running, choices);
      const runningNow = async () => {
        const seen = await readLoad(engine.target, { queuedPerRankMax: places.queued });
        return seen === null || seen === 'refused' ? undefined : seen.load.running_requests;
      };
      const counted = await eventually(async () => (await runningNow()) === choices, 10_000);
      const during = await runningNow();
      running.leave();
      const idle = await engine.idleWithin(10_000);
      return verdict(
        `${choices}, then 0`,
        `${during}, then ${idle === null ? 'still some' : 0}`,
        counted && idle !== null,
      );
    },
  },
  {
    id: 'load/health',
    says: '/health of an idle engine is 200 within the time that the agent allows',
    madeBy: ['gpu-pool/agent/sglang/load.ts'],
    async check({ engine }) {
      const { signal } = new AbortController();
      return verdict('ok', await checkHealth(engine.target, { now: Date.now, signal }));
    },
  },
  {
    id: 'load/time',
    says: 'an idle engine’s load has a time of each rank, in seconds, which moves; and counts what was prefilled, and how long that took',
    madeBy: ['gpu-pool/agent/engine-pulse.ts', 'gpu-pool/emulator/engine.ts'],
    async check({ engine, places }) {
      const ranks = async () => {
        const seen = await readLoad(engine.target, { queuedPerRankMax: places.queued });
        return seen === null || seen === 'refused' ? [] : seen.ranks;
      };
      const before = await ranks();
      await sleep(1_000);
      const after = await ranks();
      const moves =
        before.length > 0 && before.every(({ at }, rank) => at !== null && at !== after[rank]?.at);
      const counts = after.every(({ prefilled }) => prefilled !== null);
      const seen = `${moves ? 'moves' : 'stands still'}, ${counts ? 'counted' : 'not counted'}`;
      return verdict('moves, counted', seen);
    },
  },
  {
    id: 'load/health-is-not-counted',
    says: 'health checks do not count as prompts and answers',
    madeBy: ['worker/domain/reconciliation.ts'],
    async check({ engine }) {
      const before = await engine.counters();
      for (let i = 0; i < 3; i++) await engine.call('/health');
      await sleep(500);
      const after = await engine.counters();
      return verdict('0 generated', `${after.generated - before.generated} generated`);
    },
  },
  {
    id: 'load/metrics',
    says: '/metrics has the series that operators watch',
    madeBy: ['gpu-pool/emulator/metrics.ts'],
    async check({ engine }) {
      // A series appears with its first observation.
      const body = engine.endless({
        messages: user(`${freshWord()} ${'A canary is a small yellow bird. '.repeat(30)}`),
        max_tokens: 3,
      });
      await engine.stream(body);
      await engine.stream(body);
      const left = engine.start(engine.endless());
      await begun(left);
      left.leave();
      await engine.idleWithin(10_000);
      const text = await (await fetch(new URL('/metrics', engine.target.url))).text();
      const missing = METRICS.filter((name) => !new RegExp(`^sglang:${name}[{ ]`, 'm').test(text));
      return withoutFaults(
        `${METRICS.length} series`,
        missing.map((name) => `no ${name}`),
      );
    },
  },
  {
    id: 'load/keep-alive',
    says: 'an idle connection is closed after five seconds, and none before the agent closes its own',
    madeBy: ['gpu-pool/agent/engine-connections.ts', 'gpu-pool/emulator/server.ts'],
    async check({ engine }) {
      const { hostname, port, protocol } = engine.target.url;
      if (protocol !== 'http:') return notApplicable('the engine is behind TLS');
      const seconds = await new Promise<number | null>((resolve) => {
        const socket = connect({ host: hostname, port: Number(port || 80) });
        let answeredAtMs = performance.now();
        const timer = setTimeout(() => resolve(null), 12_000);
        socket.on('connect', () => socket.write(`GET /model_info HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`));
        socket.on('data', () => (answeredAtMs = performance.now()));
        socket.on('error', () => undefined);
        socket.on('end', () => socket.destroy());
        socket.on('close', () => {
          clearTimeout(timer);
          resolve((performance.now() - answeredAtMs) / 1_000);
        });
      });
      return verdict(
        `closed after more than ${IDLE_MS / 1_000} s`,
        seconds === null ? 'open after 12 s' : `closed after ${seconds.toFixed(1)} s`,
        seconds !== null && seconds > IDLE_MS / 1_000,
      );
    },
  },
];
