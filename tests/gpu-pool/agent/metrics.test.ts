/** The metrics server: its Prometheus text is correct, and the public request server shows none of it. */
import { describe, expect, it } from 'vitest';
import { Counter, gauge, Histogram } from '../../../gpu-pool/agent/prometheus.ts';
import { requestHeaders } from './fake-edge.ts';
import { generate, metricsOf, setUp, until } from './helpers.ts';
import { event, sse, total, usage } from './scripted-engine.ts';

describe('the text format', () => {
  it('has every value of a label from the start', () => {
    const counter = new Counter('x_total', 'Xs.', { label: 'kind', values: ['a', 'b'] });
    counter.add('b');
    counter.add('b', 2);
    expect(counter.print()).toBe(
      '# HELP x_total Xs.\n# TYPE x_total counter\nx_total{kind="a"} 0\nx_total{kind="b"} 3\n',
    );
  });

  it('has histograms whose buckets add up', () => {
    const histogram = new Histogram('y_seconds', 'Ys.', [0.5, 1]);
    for (const seconds of [0.25, 0.5, 0.75, 7]) histogram.observe(seconds);
    expect(histogram.print().split('\n').slice(2, -1)).toEqual([
      'y_seconds_bucket{le="0.5"} 2',
      'y_seconds_bucket{le="1"} 3',
      'y_seconds_bucket{le="+Inf"} 4',
      'y_seconds_sum 8.5',
      'y_seconds_count 4',
    ]);
  });

  it('escapes label values', () => {
    expect(gauge('z', 'Z.', 1, { path: 'a\\b"c\nd' })).toContain('z{path="a\\\\b\\"c\\nd"} 1\n');
  });
});

describe('/metrics', () => {
  it('has a HELP and a TYPE for every series, each family in one piece', async () => {
    const { agent } = await setUp();
    const response = await fetch(`${agent.metricsUrl}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    const text = await response.text();
    expect(text.endsWith('\n')).toBe(true);
    let family = '';
    const seen = new Set<string>();
    for (const line of text.trimEnd().split('\n')) {
      const help = /^# HELP (\w+) \S/.exec(line);
      const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line);
      if (help) {
        family = help[1]!;
        expect(seen.has(family)).toBe(false);
        seen.add(family);
      } else if (type) expect(type[1]).toBe(family);
      else expect(line).toMatch(new RegExp(`^${family}(_bucket|_sum|_count)?(\\{[^}]*\\})? -?[\\d.e+-]+$`));
    }
    expect(seen.size).toBeGreaterThan(15);
  });

  it('counts requests, tokens, latencies and errors', async () => {
    const { agent, edge, engine } = await setUp();
    await generate({ agent, edge });
    engine.onChat = ({ res }) =>
      sse(res, [event({ content: 'a', usage: usage(4) }), total(usage(4, { reasoning: 1, cached: 8 }))], {
        end: true,
      });
    await generate({ agent, edge });
    await generate({ agent, edge }, { token: requestHeaders('a.b.c') });
    await fetch(`${agent.url}/v1/abort`, { method: 'POST' });
    await until(() => edge.receipts.length === 2 && edge.heartbeats.at(-1)?.receipts.length === 0);
    expect(Object.fromEntries(await metricsOf(agent))).toMatchObject({
      'tollgate_agent_requests_total{outcome="finished"}': 1,
      'tollgate_agent_requests_total{outcome="failed"}': 1,
      'tollgate_agent_requests_total{outcome="lost"}': 0,
      'tollgate_agent_tokens_total{kind="prompt"}': 24,
      'tollgate_agent_tokens_total{kind="cached"}': 12,
      'tollgate_agent_tokens_total{kind="completion"}': 6,
      'tollgate_agent_tokens_total{kind="reasoning"}': 1,
      'tollgate_agent_refusals_total{code="engine_failed"}': 1,
      'tollgate_agent_refusals_total{code="unauthorized"}': 2,
      tollgate_agent_time_to_first_token_seconds_count: 2,
      'tollgate_agent_request_duration_seconds_bucket{le="+Inf"}': 2,
      tollgate_agent_in_flight: 0,
      tollgate_agent_room: 128 + 64,
      tollgate_agent_receipts_unacknowledged: 0,
      tollgate_agent_engine_healthy: 1,
      tollgate_agent_engine_running_requests: 7,
      tollgate_agent_edge_reachable: 1,
      'tollgate_agent_info{version="0.1.0",node="node_test",engine_version="0.5.20",model_path="deepseek-ai/DeepSeek-R1-0528"}': 1,
    });
  });

  it('shows that the edge is unreachable, and for how long', async () => {
    let nowMs = Date.now();
    const { agent, edge } = await setUp({ now: () => nowMs });
    const seen = async () => {
      const metrics = await metricsOf(agent);
      return ['edge_reachable', 'heartbeat_age_seconds'].map((name) => metrics.get(`tollgate_agent_${name}`));
    };
    await until(() => edge.heartbeats.length > 1);
    expect(await seen()).toEqual([1, 0]);
    edge.heartbeatStatus = 500;
    await expect.poll(async () => (await seen())[0], { timeout: 60_000 }).toBe(0);
    nowMs += 30_000;
    expect(await seen()).toEqual([0, 30]);
    edge.heartbeatStatus = 200;
    const before = edge.heartbeats.length;
    await until(() => edge.heartbeats.length > before + 1);
    expect(await seen()).toEqual([1, 0]);
  });
});

describe('the servers', () => {
  it('show strangers only that the agent is up', async () => {
    const { agent } = await setUp();
    expect((await fetch(`${agent.url}/metrics`)).status).toBe(404);
    expect(await (await fetch(`${agent.url}/healthz`)).json()).toEqual({ ok: true });
  });

  it('serve requests and metrics at separate addresses', async () => {
    const { agent } = await setUp();
    expect((await fetch(`${agent.metricsUrl}/v1/generate`, { method: 'POST' })).status).toBe(404);
    expect(await (await fetch(`${agent.metricsUrl}/healthz`)).json()).toMatchObject({
      ok: true,
      draining: 0,
      engine_healthy: 1,
    });
  });
});
