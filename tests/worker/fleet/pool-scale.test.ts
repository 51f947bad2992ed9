/** A Pool among a thousand nodes and hundreds of isolates: how often it is asked, and how often it does the work of an answer. */
import { createExecutionContext } from 'cloudflare:test';
import { afterEach, expect, it, vi } from 'vitest';
import { decodeSnapshot } from '../../../worker/domain/snapshot-text.ts';
import { env } from '../gateway/client.ts';
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
    texts.add(await pool.snapshotText());
    vi.setSystemTime(Date.now() + 10);
  }
  // a second of them, a window is a quarter
  expect(texts.size).toBeLessThanOrEqual(5);
  const [text] = texts;
  expect(decodeSnapshot(text!).nodes).toHaveLength(NODES);
  expect(text!.length / NODES).toBeLessThan(250);
});

it('tells every isolate that has requests of a failure while the node is out, whoever saw it', async () => {
  const modelId = 'failing';
  const pool = env.POOL.getByName(modelId);
  const [bad, good] = crowdOfNodes(2, modelId);
  vi.useFakeTimers({ toFake: ['Date'] });
  for (const node of [bad!, good!]) await pool.heartbeat(node, busyReport(1));
  vi.setSystemTime(Date.now() + 10_000);
  for (const node of [bad!, good!]) await pool.heartbeat(node, busyReport(1));
  const isolates = new Isolates(40, { env, modelId });
  const healthSeen = async (i: number) => {
    const behind: Promise<unknown>[] = [];
    const { snapshot } = await isolates.read(i, (promise) => behind.push(promise));
    await Promise.all(behind);
    return snapshot.nodes.find(({ id }) => id === bad!.id)!.health;
  };
  for (let i = 0; i < 40; i++) expect(await healthSeen(i)).toBe('up');
  await pool.reportFailure({ nodeId: bad!.id, startedAgoMs: 0 });
  // three requests a second: the one that finds its snapshot old is not held up, and the next knows
  vi.setSystemTime(Date.now() + 700);
  for (let passedMs = 700; passedMs < 1_900; passedMs += 300) {
    for (let i = 0; i < 40; i++) await healthSeen(i);
    vi.setSystemTime(Date.now() + 300);
  }
  for (let i = 0; i < 40; i++) expect(await healthSeen(i)).toBe('ejected');
});
