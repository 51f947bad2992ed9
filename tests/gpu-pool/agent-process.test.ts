/** Real agent processes, ended the hard way. */
import { describe, expect, it } from 'vitest';
import {
  event,
  FakeEdge,
  generate,
  requestId,
  ScriptedEngine,
  spawnAgent,
  sse,
  tempDir,
  total,
  until,
  usage,
} from './agent-kit.ts';

async function house() {
  const [edge, engine, state] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
  const args = ['--engine', engine.url, '--edge', edge.url, '--state', state];
  return { edge, engine, args };
}
const secrets = { TOLLGATE_JOIN_TOKEN: 'join-me', ENGINE_API_KEY: 'engine-secret' };

describe('a killed agent', () => {
  it('reports the running request as lost and the finished one exactly once, under the seqs they had', async () => {
    const { edge, engine, args } = await house();
    const first = await spawnAgent(args, secrets);
    expect(JSON.parse(first.stdout())).toEqual({ listening: first.url, node: 'node_test' });
    edge.acknowledging = false;
    expect((await generate({ agent: first, edge })).done).toBe(true);

    const jti = requestId();
    engine.onChat = async ({ res }) => {
      for (let count = 1; !res.destroyed; count += 1) {
        sse(res, [event({ content: 'x', usage: usage(count) })], { end: false });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const token = await edge.sign({ jti });
    const cutOff = generate({ agent: first, edge }, { token }).catch(() => null);
    await until(() => engine.calls.length === 2);
    // past the first progress line
    await new Promise((resolve) => setTimeout(resolve, 1_300));
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
    expect(lost!.usage.completion_tokens).toBeGreaterThan(20);
    expect(lost!.usage.completion_tokens).toBeLessThanOrEqual(80);
    // the token of the lost request is used up
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

describe('SIGTERM', () => {
  it('drains: refuses new work, ends what runs, reports its receipt, exits 0', async () => {
    const { edge, engine, args } = await house();
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

  it('twice aborts what runs, and journals and reports it', async () => {
    const { edge, engine, args } = await house();
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
    const { args } = await house();
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
    const { edge, args } = await house();
    edge.directive = 'removed';
    const agent = await spawnAgent(args, secrets);
    expect(await agent.exit).toBe(0);
    expect(agent.stderr()).toContain('enrol it with a new join token');
  });
});
