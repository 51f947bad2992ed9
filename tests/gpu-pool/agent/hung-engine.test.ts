/**
 * Hung engines and long prefill steps, which look alike from outside, in front of the emulator: an agent must take the one
 * out and leave the other in. Silence is measured in the agent's own time, which these tests move.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { hasStoppedScheduler } from '../../../gpu-pool/agent/engine-processes.ts';
import { SILENCE_MS } from '../../../gpu-pool/agent/engine-pulse.ts';
import { startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { FakeEdge } from './fake-edge.ts';
import { BODY, generate, startTestAgent, tempDir, until } from './helpers.ts';

/** More than an engine generates while a test lasts, on a busy machine, too. */
const MAX_TOKENS = 100_000;

async function setUp(options: Partial<EmulatorOptions> = {}) {
  const [edge, stateDir, processRoot] = await Promise.all([FakeEdge.start(), tempDir(), tempDir()]);
  const emulator = await startEmulator({
    profile: '8xh200',
    speed: 1,
    cacheReport: true,
    reasoningParser: 'deepseek-r1',
    maxQueuedRequests: 256,
    priorities: { enabled: true },
    ...options,
  });
  onTestFinished(() => emulator.close());
  const time = { ms: Date.now() };
  const logs: string[] = [];
  const agent = await startTestAgent({
    engineUrl: emulator.url,
    edgeUrl: edge.url,
    ...{ stateDir, processRoot },
    now: () => time.ms,
    log: (name) => logs.push(name),
  });
  const healthy = () => edge.heartbeats.at(-1)?.engine.healthy;
  /** Lets the agent's time pass, and waits until it has looked and reported several times since. */
  const pass = async (ms: number) => {
    time.ms += ms;
    const beats = edge.heartbeats.length;
    await until(() => edge.heartbeats.length >= beats + 6);
  };
  return { edge, emulator, agent, logs, healthy, pass, processRoot };
}

const ask = ({ agent, edge }: Awaited<ReturnType<typeof setUp>>, prompt: string, answer = 3) =>
  generate(
    { agent, edge },
    {
      body: {
        ...BODY,
        messages: [{ role: 'user', content: `[[reasoning=2 answer=${answer}]] ${prompt}` }],
        max_tokens: MAX_TOKENS,
      },
      claims: { prompt_tokens_max: prompt.length + 100, max_tokens: MAX_TOKENS },
    },
  );

it('an idle engine whose scheduler hangs is out, and back when it goes on', async () => {
  const { emulator, logs, healthy, pass } = await setUp();
  await pass(SILENCE_MS);
  expect(healthy()).toBe(true);
  emulator.faults.add({ kind: 'frozen' });
  await pass(1_000);
  expect(healthy()).toBe(true);
  await pass(SILENCE_MS);
  await until(() => healthy() === false);
  expect(logs).toContain('engine_hung');
  emulator.faults.clear();
  await until(() => healthy() === true);
});

it('an engine that hangs while it answers is out', async () => {
  const setup = await setUp();
  const answer = ask(setup, 'Go on.', 90_000);
  await until(() => setup.emulator.engine.stats.generationTokens > 5);
  await setup.pass(SILENCE_MS);
  expect(setup.healthy()).toBe(true);
  setup.emulator.faults.add({ kind: 'frozen' });
  await setup.pass(1_000);
  await setup.pass(SILENCE_MS);
  await until(() => setup.healthy() === false);
  await setup.agent.close();
  expect((await answer).done).toBe(false);
});

it('an engine within a long prefill step stays in, step after step, and its health checks fail meanwhile', async () => {
  // At 1 token a millisecond a step of 2,000 tokens takes two seconds of real time; the agent's time goes on by far more.
  const setup = await setUp({
    override: { prefillTokensPerSecond: 1_000, prefillBaseMs: 0, chunkedPrefillTokens: 2_000 },
  });
  await ask(setup, 'word '.repeat(300));
  const answers = [1, 2].map((each) => ask(setup, `${each} ${'word '.repeat(3_500)}`));
  await until(() => setup.emulator.engine.load.runningRequests > 0);
  await setup.pass(1_000);
  // A step of 2,000 tokens takes 2 s and may take 16.
  await setup.pass(10_000);
  expect(setup.healthy()).toBe(true);
  for (const answer of await Promise.all(answers)) expect(answer.done).toBe(true);
  expect(setup.logs).not.toContain('engine_hung');
});

it('an engine that hangs within a prefill step is out after the longest that a step can take', async () => {
  const setup = await setUp({
    override: { prefillTokensPerSecond: 1_000, prefillBaseMs: 0, chunkedPrefillTokens: 2_000 },
  });
  await ask(setup, 'word '.repeat(300));
  const answer = ask(setup, 'word '.repeat(3_500));
  await until(() => setup.emulator.engine.load.runningRequests > 0);
  setup.emulator.faults.add({ kind: 'frozen' });
  await setup.pass(1_000);
  await setup.pass(9_000);
  expect(setup.healthy()).toBe(true);
  await setup.pass(10_000);
  await until(() => setup.healthy() === false);
  await setup.agent.close();
  expect((await answer).done).toBe(false);
});

it('a scheduler that this host shows as stopped is out within a prefill step, too', async () => {
  const setup = await setUp({
    override: { prefillTokensPerSecond: 1_000, prefillBaseMs: 0, chunkedPrefillTokens: 2_000 },
  });
  await ask(setup, 'word '.repeat(300));
  const answer = ask(setup, 'word '.repeat(3_500));
  await until(() => setup.emulator.engine.load.runningRequests > 0);
  setup.emulator.faults.add({ kind: 'frozen' });
  await setup.pass(5_000);
  expect(setup.healthy()).toBe(true);
  await engineProcesses(setup.processRoot, { port: setup.emulator.port, state: 'T' });
  await setup.pass(1_000);
  await until(() => setup.healthy() === false);
  await engineProcesses(setup.processRoot, { port: setup.emulator.port, state: 'R' });
  setup.emulator.faults.clear();
  await until(() => setup.healthy() === true);
  expect((await answer).done).toBe(true);
});

/** Describes an engine's processes as /proc does: a launcher, a controller of ranks, two schedulers. */
async function engineProcesses(root: string, { port, state }: { port: number | string; state: string }) {
  const describe = async (id: number, parent: number, name: string, at: string, words: string[]) => {
    await mkdir(join(root, String(id)), { recursive: true });
    await writeFile(join(root, String(id), 'stat'), `${id} (${name}) ${at} ${parent} 1 1 0 -1`);
    await writeFile(join(root, String(id), 'cmdline'), words.join('\0'));
  };
  await describe(10, 1, 'python (v2)', 'S', ['python', '-m', 'sglang.launch_server', `--port=${port}`]);
  await describe(11, 10, 'sglang::data_pa', 'S', ['sglang::data_parallel_controller']);
  await describe(12, 11, 'sglang::schedul', 'R', ['sglang::scheduler_DP0_TP0']);
  await describe(13, 11, 'sglang::schedul', state, ['sglang::scheduler_DP1_TP0']);
}

it.each([
  ['is stopped', 'T', 9_100, 'http://127.0.0.1:9100', true],
  ['runs', 'R', 9_100, 'http://127.0.0.1:9100', false],
  ['sleeps', 'S', 9_100, 'http://127.0.0.1:9100', false],
  ['is another engine’s', 'T', 9_101, 'http://127.0.0.1:9100', false],
] as const)('a scheduler that %s is told apart', async (_, state, port, url, stopped) => {
  const root = await tempDir();
  await engineProcesses(root, { port, state });
  expect(await hasStoppedScheduler(new URL(url), root)).toBe(stopped);
});

it('no process that can be seen proves nothing', async () => {
  expect(await hasStoppedScheduler(new URL('http://127.0.0.1:9100'), join(await tempDir(), 'none'))).toBe(
    false,
  );
});
