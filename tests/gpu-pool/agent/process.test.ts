/** Real agent processes that are killed, signalled, or refused. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { JOURNAL_FILE } from '../../../gpu-pool/agent/journal.ts';
import { readEngineLog } from '../../../gpu-pool/emulator/log.ts';
import { startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { FakeEdge, requestId } from './fake-edge.ts';
import { type AgentProcess, generate, SALT, spawnAgent, tempDir, until } from './helpers.ts';
import { event, ScriptedEngine, sse, total, usage } from './scripted-engine.ts';

async function setUpProcess() {
  const [edge, engine, state] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
  const args = ['--engine', engine.url, '--edge', edge.url, '--state', state];
  return { edge, engine, args, state };
}

/** Completion tokens of the newest progress line in an agent's journal; 0 before there is one. */
function lastProgress(stateDir: string): number {
  const lines = readFileSync(join(stateDir, JOURNAL_FILE), 'utf8').split('\n');
  const progress = lines.filter((line) => line.includes('"type":"progress"')).at(-1);
  return progress === undefined ? 0 : JSON.parse(progress).usage.completion_tokens;
}

const secrets = { TOLLGATE_JOIN_TOKEN: 'join-me', ENGINE_API_KEY: 'engine-secret' };

describe('a killed agent', () => {
  it('reports the running request as lost and the finished one exactly once, under the seqs they had', async () => {
    const { edge, engine, args, state } = await setUpProcess();
    const first = await spawnAgent(args, secrets);
    const metrics = expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(JSON.parse(first.stdout())).toEqual({ listening: first.url, metrics, node: 'node_test' });
    edge.acknowledging = false;
    expect((await generate({ agent: first, edge })).done).toBe(true);

    const jti = requestId();
    let sent = 0;
    engine.onChat = async ({ res }) => {
      while (!res.destroyed) {
        sent += 1;
        sse(res, [event({ content: 'x', usage: usage(sent) })], { end: false });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const token = await edge.sign({ jti });
    const cutOff = generate({ agent: first, edge }, { token }).catch(() => null);
    await until(() => engine.calls.length === 2);
    const journalled = await until(() => lastProgress(state));
    first.child.kill('SIGKILL');
    await first.exit;
    await cutOff;

    edge.heartbeats.length = 0;
    const second = await spawnAgent(args);
    expect(second.url).toBe(first.url);
    await until(() => edge.receipts.length === 2);
    const [finished, lost] = edge.receipts;
    expect(finished).toMatchObject({ seq: 1, outcome: 'finished', usage: { completion_tokens: 2 } });
    expect(lost).toMatchObject({ seq: 2, request_id: jti, outcome: 'lost' });
    expect(lost!.usage.completion_tokens).toBeGreaterThanOrEqual(journalled);
    expect(lost!.usage.completion_tokens).toBeLessThanOrEqual(sent);
    // The token of the lost request is used up.
    expect((await generate({ agent: second, edge }, { token })).status).toBe(400);

    edge.acknowledging = true;
    engine.onChat = ({ res }) =>
      sse(res, [event({ content: 'a', usage: usage(1) }), event({ finish: 'stop' }), '[DONE]']);
    expect((await generate({ agent: second, edge })).done).toBe(true);
    await until(() => edge.receipts.length === 3);
    expect(edge.receipts[2]).toMatchObject({ seq: 3, outcome: 'finished' });
    for (const output of [first, second]) {
      expect(output.stdout() + output.stderr()).not.toMatch(/private prompt|join-me|engine-secret|eyJ/);
    }
  });
});

describe('an unreachable edge, a killed agent and a crashed engine', () => {
  it('lose no receipt, and requests that can be served are', async () => {
    const [edge, state] = await Promise.all([FakeEdge.start(), tempDir()]);
    const log = join(state, 'engine.jsonl');
    const options: EmulatorOptions = {
      ...{ profile: '8xh200', speed: 1, log, cacheReport: true },
      ...{ reasoningParser: 'deepseek-r1', maxQueuedRequests: 64, priorities: { enabled: true } },
    };
    let engine = await startEmulator(options);
    onTestFinished(() => engine.close());
    const args = ['--engine', engine.url, '--edge', edge.url, '--state', state];
    const body = (tokens: number) => ({
      ...{ cache_salt: SALT, max_tokens: 1_000 },
      messages: [{ role: 'user', content: `x [[reasoning=5 answer=${tokens}]]` }],
    });
    const ask = (agent: AgentProcess, jti: string, tokens = 5) =>
      generate({ agent, edge }, { body: body(tokens), claims: { jti } });
    const ids = Array.from({ length: 5 }, requestId);
    const [calm, cutOff, killed, crashed, last] = ids as [string, string, string, string, string];

    const first = await spawnAgent(args, secrets);
    expect((await ask(first, calm)).done).toBe(true);
    await until(() => edge.receipts.length === 1);

    // The agent has the keys of the edge, so the edge's tokens are still valid.
    edge.unreachable = true;
    expect((await ask(first, cutOff)).done).toBe(true);
    const dying = ask(first, killed, 900).catch(() => null);
    await until(() => lastProgress(state));
    first.child.kill('SIGKILL');
    await Promise.all([first.exit, dying]);

    // Restarted without an edge, it serves as soon as it has the keys, with or without heartbeats.
    const second = await spawnAgent(args);
    expect((await ask(second, crashed)).error?.code).toBe('overloaded');
    edge.heartbeatStatus = 500;
    edge.unreachable = false;
    const breaking = ask(second, crashed, 900);
    await until(() => (readEngineLog(log).get(crashed)?.completionTokens ?? 0) > 0);
    await engine.close();
    expect((await breaking).error?.code).toBe('engine_failed');
    engine = await startEmulator({ ...options, port: engine.port });
    await expect.poll(async () => (await ask(second, last)).done, { timeout: 60_000 }).toBe(true);
    expect(edge.receipts).toHaveLength(1);

    edge.heartbeatStatus = 200;
    await until(() => edge.receipts.length === ids.length);
    const receipts = [...edge.receipts].sort((a, b) => a.seq - b.seq);
    expect(receipts.map(({ seq, request_id, outcome }) => [seq, request_id, outcome])).toEqual([
      [1, calm, 'finished'],
      [2, cutOff, 'finished'],
      [3, killed, 'lost'],
      [4, crashed, 'failed'],
      [5, last, 'finished'],
    ]);
    const engineLog = readEngineLog(log);
    for (const { request_id, outcome, usage } of receipts) {
      const generated = engineLog.get(request_id)!.completionTokens;
      if (outcome === 'finished') expect(usage.completion_tokens).toBe(generated);
      expect(usage.completion_tokens).toBeGreaterThan(0);
      expect(usage.completion_tokens).toBeLessThanOrEqual(generated);
    }
    expect(
      new Set(edge.heartbeats.flatMap((heartbeat) => heartbeat.receipts.map(({ seq }) => seq))).size,
    ).toBe(5);
  });
});

describe('SIGTERM', () => {
  it('drains: refuses new requests, finishes running ones, reports their receipts, exits 0', async () => {
    const { edge, engine, args } = await setUpProcess();
    const agent = await spawnAgent(args, secrets);
    engine.onChat = ({ res }) => sse(res, [event({ content: 'a', usage: usage(1) })], { end: false });
    const answering = generate({ agent, edge });
    await until(() => engine.calls.length === 1);
    agent.child.kill('SIGTERM');
    await until(() => edge.heartbeats.at(-1)?.draining);
    expect(edge.heartbeats.at(-1)?.in_flight).toBe(1);
    expect((await generate({ agent, edge })).error?.code).toBe('overloaded');
    sse(engine.calls[0]!.res, [event({ finish: 'stop' }), total(usage(1)), '[DONE]']);
    expect((await answering).done).toBe(true);
    expect(await agent.exit).toBe(0);
    expect(edge.receipts).toMatchObject([{ outcome: 'finished', usage: { completion_tokens: 1 } }]);
  });

  it('twice aborts running requests, and journals and reports them', async () => {
    const { edge, engine, args } = await setUpProcess();
    const agent = await spawnAgent(args, secrets);
    engine.onChat = ({ res }) => sse(res, [event({ content: 'a', usage: usage(1) })], { end: false });
    engine.onAbort = () => sse(engine.calls[0]!.res, [event({ finish: 'abort' }), total(usage(4)), '[DONE]']);
    const answering = generate({ agent, edge });
    await until(() => engine.calls.length === 1);
    agent.child.kill('SIGTERM');
    await until(() => edge.heartbeats.at(-1)?.draining);
    agent.child.kill('SIGINT');
    const answer = await answering;
    expect([answer.done, answer.error?.code]).toEqual([false, 'engine_failed']);
    expect(await agent.exit).toBe(0);
    expect(edge.receipts).toMatchObject([{ outcome: 'failed', usage: { completion_tokens: 4 } }]);
  });
});

describe('the command line', () => {
  it('prints one sentence and exits 1 when the node cannot start', async () => {
    const { args } = await setUpProcess();
    const agent = await spawnAgent(args, { TOLLGATE_JOIN_TOKEN: 'used' });
    expect(await agent.exit).toBe(1);
    expect(agent.stdout()).toBe('');
    expect(agent.stderr()).toMatch(
      /^The edge refused to enrol this node \(.*\): create a new join token .*\.\n$/,
    );
  });

  it('lists every variable in --help', async () => {
    const agent = await spawnAgent(['--help']);
    expect(await agent.exit).toBe(0);
    const variables = agent.stdout().match(/TOLLGATE_\w+|ENGINE_\w+/g);
    expect(variables).toEqual(
      expect.arrayContaining(['ENGINE_API_KEY', 'TOLLGATE_JOIN_TOKEN', 'TOLLGATE_STATE']),
    );
  });

  it('ends by itself when the edge has removed the node', async () => {
    const { edge, args } = await setUpProcess();
    edge.directive = 'removed';
    const agent = await spawnAgent(args, secrets);
    expect(await agent.exit).toBe(0);
    expect(agent.stderr()).toContain('enrol it with a new join token');
  });
});
