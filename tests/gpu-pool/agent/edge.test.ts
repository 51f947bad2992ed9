/** The agent and its edge: enrolment, heartbeats, receipts, directives. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { checkEngine, parseEngine } from '../../../gpu-pool/agent/engine-check.ts';
import { backoffMs } from '../../../gpu-pool/agent/heartbeat.ts';
import { FakeEdge, requestId } from './fake-edge.ts';
import { expectStartRefused, generate, setUp, startTestAgent, tempDir, until } from './helpers.ts';
import { event, rankLoad, ScriptedEngine, sse, usage } from './scripted-engine.ts';

describe('enrolment', () => {
  it('sends a public key, the engine’s identity and the agent’s address, and never the private key', async () => {
    const { edge, agent, stateDir, logs } = await setUp();
    expect(edge.enrolments).toHaveLength(1);
    expect(edge.enrolments[0]).toMatchObject({
      url: agent.url,
      engine: { version: '0.5.20', model_path: 'deepseek-ai/DeepSeek-R1-0528', weight_version: 'w1' },
    });
    const path = join(stateDir, 'node.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const { private_key } = JSON.parse(await readFile(path, 'utf8'));
    expect(JSON.stringify(edge.enrolments)).not.toContain(private_key.d);
    expect(JSON.stringify(edge.enrolments)).not.toContain('engine-secret');
    expect(logs.join()).not.toContain(private_key.d);
  });

  it('takes the edge from the join token', async () => {
    const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
    const joinToken = new UnsecuredJWT({ edge: edge.url }).encode();
    const error = await expectStartRefused(startTestAgent({ engineUrl: engine.url, stateDir, joinToken }));
    expect(error.code).toBe('enrol_refused');
    expect(error.message).toContain('The join token was used before');
  });

  it('happens once: a restart needs no token and keeps id, key, address and edge', async () => {
    const { edge, engine, agent, stateDir } = await setUp();
    const { url, nodeId } = agent;
    await agent.close();
    const again = await startTestAgent({ engineUrl: engine.url, stateDir, joinToken: undefined });
    expect([again.url, again.nodeId]).toEqual([url, nodeId]);
    expect(edge.enrolments).toHaveLength(1);
    expect((await generate({ agent: again, edge })).done).toBe(true);
    await until(() => edge.receipts.length === 1);
  });

  it.each<[string, string, (parts: { engine: ScriptedEngine; edge: FakeEdge; stateDir: string }) => object]>([
    ['no join token', 'join_token_missing', () => ({ joinToken: undefined })],
    ['a used join token', 'enrol_refused', () => ({ joinToken: 'used' })],
    ['an unreachable edge', 'edge_unreachable', () => ({ edgeUrl: 'http://127.0.0.1:9' })],
    ['something else as edge', 'enrol_refused', ({ engine }) => ({ edgeUrl: engine.url })],
    ['an unreachable engine', 'engine_down', () => ({ engineUrl: 'http://127.0.0.1:9', engineWaitMs: 0 })],
    ['something else as engine', 'engine_unreachable', ({ edge }) => ({ engineUrl: edge.url })],
    ['an engine beyond loopback', 'engine_exposed', () => ({ engineUrl: 'http://10.1.2.3:30000' })],
    ['a listen address in use', 'listen_failed', ({ edge }) => ({ listen: edge.url.replace('http://', '') })],
    ['a state directory that is a file', 'state_unusable', () => ({ stateDir: '/dev/null/state' })],
  ])('is refused in one sentence with %s', async (_, code, options) => {
    const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
    const error = await expectStartRefused(
      startTestAgent({
        engineUrl: engine.url,
        edgeUrl: edge.url,
        stateDir,
        ...options({ engine, edge, stateDir }),
      }),
    );
    expect(error.code).toBe(code);
  });

  it('is refused where the engine answers on another address too', async () => {
    const { url } = await ScriptedEngine.start();
    const check = (addresses: string[]) =>
      checkEngine(parseEngine({ engineUrl: url }), { allowExposed: false, addresses });
    expect((await expectStartRefused(check(['127.0.0.1']))).message).toContain(
      'start it with --host 127.0.0.1',
    );
    expect((await check(['127.0.0.9'])).info.version).toBe('0.5.20');
  });
});

describe('heartbeats', () => {
  it('report load summed over ranks, and fall back to the older load endpoint', async () => {
    const { edge, engine } = await setUp();
    await until(() => edge.heartbeats.length > 0);
    expect(edge.heartbeats[0]?.load).toEqual({
      running_requests: 7,
      waiting_requests: 2,
      waiting_tokens: 20,
      used_tokens: 200,
      capacity_tokens: 2_000,
      max_running_requests: 128,
      max_queued_requests: 64,
      generation_tokens_per_second: 101,
      cache_hit_rate: 0.5,
    });
    expect(edge.heartbeats[0]?.engine.healthy).toBe(true);
    engine.loads = null;
    await until(() => edge.heartbeats.at(-1)?.load.running_requests === 3);
    expect(edge.heartbeats.at(-1)?.load).toMatchObject({ waiting_requests: 2, used_tokens: 70 });
  });

  it('report each load as it comes, though the health check is not answered', async () => {
    const { edge, engine } = await setUp();
    engine.health = 'never';
    for (const running of [11, 12, 13]) {
      engine.loads = { loads: [rankLoad(running)] };
      await until(() => edge.heartbeats.at(-1)?.load.running_requests === running);
    }
  });

  it('call an engine unhealthy at once that says it is starting or ending', async () => {
    const { edge, engine } = await setUp();
    engine.health = 503;
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
    engine.health = 200;
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === true);
  });

  it('judge an engine whose load has no time by its tokens and health checks', async () => {
    let nowMs = Date.now();
    const { edge, engine, agent } = await setUp({ now: () => nowMs });
    engine.health = 'never';
    engine.loads = { loads: [{ ...rankLoad(3), num_waiting_reqs: 0 }] };
    nowMs += 5_000;
    await generate({ agent, edge });
    const looks = engine.looks;
    nowMs += 1_000;
    await until(() => engine.looks > looks + 3);
    expect(edge.heartbeats.at(-1)?.engine.healthy).toBe(true);
    nowMs += 5_000;
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
    engine.health = 200;
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === true);
  });

  it('send receipts again until they are acknowledged, also after the edge was unreachable', async () => {
    const { edge, agent } = await setUp();
    edge.acknowledging = false;
    await generate({ agent, edge });
    await until(() => edge.heartbeats.filter(({ receipts }) => receipts.length > 0).length >= 3);
    edge.heartbeatStatus = 500;
    await generate({ agent, edge });
    const before = edge.heartbeats.length;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(edge.heartbeats).toHaveLength(before);
    edge.heartbeatStatus = 200;
    await until(() => edge.receipts.length === 2);
    expect(edge.heartbeats.at(-1)?.receipts.map(({ seq }) => seq)).toEqual([1, 2]);
    edge.acknowledging = true;
    await until(() => edge.heartbeats.at(-1)?.receipts.length === 0);
    expect(await (await fetch(`${agent.metricsUrl}/metrics`)).text()).toContain('receipts_unacknowledged 0');
  });

  it('come early when a request has ended', async () => {
    const { edge, agent } = await setUp({ heartbeatIntervalMs: 600_000 });
    await until(() => edge.heartbeats.length === 1);
    await generate({ agent, edge });
    // It comes long before the next one is due, or `until` would give up.
    await until(() => edge.receipts.length === 1);
    expect(edge.heartbeats.length).toBeLessThanOrEqual(3);
  });

  it('keep the order and the size bound with a long backlog', async () => {
    const { edge, engine, agent, stateDir } = await setUp();
    await agent.close();
    const receipt = (seq: number) => ({
      ...{
        seq,
        request_id: `req_${'x'.repeat(32)}_${seq}`,
        account_id: `acct_${'y'.repeat(32)}`,
        model: 'deepseek-reasoner',
      },
      ...{
        started_at_ms: 1_763_900_000_000,
        ended_at_ms: 1_763_900_009_000,
        ttft_ms: 1_234,
        outcome: 'finished',
      },
      usage: {
        prompt_tokens: 123_456,
        cached_tokens: 123_456,
        completion_tokens: 12_345,
        reasoning_tokens: 12_345,
      },
    });
    const lines = Array.from({ length: 500 }, (_, i) =>
      JSON.stringify({ type: 'closed', receipt: receipt(i + 1) }),
    );
    await writeFile(join(stateDir, 'receipts.jsonl'), `${lines.join('\n')}\n`);
    edge.heartbeats.length = 0;
    await startTestAgent({ engineUrl: engine.url, stateDir });
    await until(() => edge.receipts.length === 500);
    expect(edge.receipts.map(({ seq }) => seq)).toEqual(lines.map((_, i) => i + 1));
    const sizes = edge.heartbeats.map((heartbeat) => JSON.stringify(heartbeat).length);
    expect(Math.max(...sizes)).toBeLessThan(64 << 10);
  });

  it('say what to do when the edge refuses the token', async () => {
    const { edge, agent, logs } = await setUp();
    edge.heartbeatStatus = 401;
    await until(() =>
      logs.some((line) => line.includes('heartbeat_refused') && line.includes('enrol again')),
    );
    expect((await generate({ agent, edge })).done).toBe(true);
  });
});

it('spreads the retries of agents that lost the edge together over the second half of their interval', () => {
  for (const failures of [1, 2, 5, 40]) {
    const wait = (random: number) => backoffMs({ failures, intervalMs: 2_000, random: () => random });
    expect(wait(1)).toBe(Math.min(10_000, 2_000 * 2 ** (failures - 1)));
    expect(wait(0)).toBe(wait(1) / 2);
    expect(wait(0.5)).toBe(wait(1) * 0.75);
  }
});

describe('directives', () => {
  it('drain and serve switch new work off and on', async () => {
    const { edge, agent, engine } = await setUp();
    edge.directive = 'drain';
    await until(() => edge.heartbeats.at(-1)?.draining);
    const refused = await generate({ agent, edge });
    expect([refused.status, refused.error?.code]).toEqual([503, 'overloaded']);
    expect(await (await fetch(`${agent.metricsUrl}/healthz`)).json()).toMatchObject({
      ok: true,
      draining: 1,
    });
    expect(engine.calls).toHaveLength(0);
    edge.directive = 'serve';
    await until(() => edge.heartbeats.at(-1)?.draining === false);
    expect((await generate({ agent, edge })).done).toBe(true);
  });

  it('removed lets the running request end first', async () => {
    const { edge, agent, engine } = await setUp();
    let removed = false;
    void agent.removed.then(() => {
      removed = true;
    });
    engine.onChat = ({ res }) => sse(res, [event({ content: 'a', usage: usage(1) })], { end: false });
    const answering = generate({ agent, edge }, { claims: { jti: requestId() } });
    await until(() => engine.calls.length === 1);
    edge.directive = 'removed';
    await until(() => edge.heartbeats.at(-1)?.draining);
    expect(removed).toBe(false);
    sse(engine.calls[0]!.res, [event({ finish: 'stop' }), '[DONE]']);
    expect((await answering).done).toBe(true);
    await until(() => removed);
  });
});

describe('other routes', () => {
  it('are 404 in JSON', async () => {
    const { agent } = await setUp();
    for (const path of ['/', '/metrics', '/v1/chat/completions', '/server_info', '/v1/generate']) {
      const response = await fetch(`${agent.url}${path}`);
      expect([path, response.status]).toEqual([path, 404]);
      expect(await response.json()).toHaveProperty('error.code', 'not_found');
    }
  });
});
