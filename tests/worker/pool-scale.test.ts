/** A Pool among a thousand nodes and hundreds of isolates: how often it is asked, and how often it does the work of an answer. */
import { createExecutionContext } from 'cloudflare:test';
import { afterEach, expect, it, vi } from 'vitest';
import { fromText } from '../../worker/domain/pool-text.ts';
import { env } from './gateway-client.ts';
import { busyReport, crowdOfNodes, Isolates } from './pool-crowd.ts';

const NODES = 1_000;
const ISOLATES = 200;

afterEach(() => {
  vi.useRealTimers();
});

it('tells hundreds of isolates of a thousand nodes, a few calls a second', async () => {
  const modelId = 'crowded';
  const pool = env.POOL.getByName(modelId);
  const nodes = crowdOfNodes(NODES, modelId);
  await Promise.all(nodes.map((node, i) => pool.heartbeat(node, busyReport(i))));
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 1_000 });

  const context = createExecutionContext();
  const isolates = new Isolates(ISOLATES, { env, modelId });
  const behind: Promise<unknown>[] = [];
  const read = async (i: number) => {
    const { ageMs } = await isolates.read(i, (promise) => {
      behind.push(promise);
      context.waitUntil(promise);
    });
    expect(ageMs).toBeLessThanOrEqual(2_000);
  };
  await read(0);
  await Promise.all(behind);
  // three requests of each isolate within a second; what the cache has lives by the real clock, so be quick
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < ISOLATES; i += 10)
      await Promise.all(Array.from({ length: 10 }, (_, next) => read(i + next)));
    vi.setSystemTime(Date.now() + 300);
  }
  expect(isolates.refreshes).toBe(ISOLATES);
  // one, and again those of a batch when this machine took so long that the entry is over
  expect(isolates.poolCalls).toBeLessThanOrEqual(ISOLATES / 5);

  const texts = new Set<string>();
  for (let heartbeats = 0; heartbeats < 100; heartbeats++) {
    await pool.heartbeat(nodes[heartbeats]!, busyReport(heartbeats));
    texts.add(await pool.routes());
    vi.setSystemTime(Date.now() + 10);
  }
  // a second of them, a window is a quarter
  expect(texts.size).toBeLessThanOrEqual(5);
  const [text] = texts;
  expect(fromText(text!).nodes).toHaveLength(NODES);
  expect(text!.length / NODES).toBeLessThan(250);
});
