/**
 * A Pool with a thousand nodes and hundreds of isolates: how often it is called, and how often it encodes a new
 * snapshot.
 */
import { createExecutionContext } from 'cloudflare:test';
import { afterEach, expect, it, vi } from 'vitest';
import { decodeSnapshot } from '../../../worker/domain/snapshot-text.ts';
import { env } from '../gateway/client.ts';
import { busyReport, crowdOfNodes, Isolates } from './pool-crowd.ts';

const NODES = 1_000;
const ISOLATES = 200;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it('serves hundreds of isolates with a thousand nodes in a few calls a second', async () => {
  const modelId = 'crowded';
  const pool = env.POOL.getByName(modelId);
  const nodes = crowdOfNodes(NODES, modelId);
  // The clock stands still, so that no node falls silent while a slow machine takes the others' heartbeats.
  vi.useFakeTimers({ toFake: ['Date'] });
  await Promise.all(nodes.map((node, i) => pool.heartbeat(node, busyReport(i))));
  vi.setSystemTime(Date.now() + 1_000);

  const context = createExecutionContext();
  const isolates = new Isolates(ISOLATES, { env, modelId });
  const background: Promise<unknown>[] = [];
  const read = async (i: number) => {
    const { ageMs } = await isolates.read(i, (promise) => {
      background.push(promise);
      context.waitUntil(promise);
    });
    expect(ageMs).toBeLessThanOrEqual(2_000);
  };
  await read(0);
  await Promise.all(background);
  // Each isolate makes three requests within a second. The cache's entries expire by the real clock, so this must be quick.
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < ISOLATES; i += 10)
      await Promise.all(Array.from({ length: 10 }, (_, next) => read(i + next)));
    vi.setSystemTime(Date.now() + 300);
  }
  expect(isolates.refreshes).toBe(ISOLATES);
  // One call, and those of another batch if this machine took so long that the cache entry expired.
  expect(isolates.poolCalls).toBeLessThanOrEqual(ISOLATES / 5);

  const texts = new Set<string>();
  for (let heartbeats = 0; heartbeats < 100; heartbeats++) {
    await pool.heartbeat(nodes[heartbeats]!, busyReport(heartbeats));
    texts.add(await pool.snapshotText());
    vi.setSystemTime(Date.now() + 10);
  }
  // The heartbeats take a second, and a text is reused for a quarter of one.
  expect(texts.size).toBeLessThanOrEqual(5);
  const [text] = texts;
  expect(decodeSnapshot(text!).nodes).toHaveLength(NODES);
  expect(text!.length / NODES).toBeLessThan(250);
});

it('makes a failure that one isolate reports known to every isolate with requests while the node is ejected', async () => {
  const modelId = 'failing';
  const pool = env.POOL.getByName(modelId);
  const [bad, good] = crowdOfNodes(2, modelId);
  vi.useFakeTimers({ toFake: ['Date'] });
  for (const node of [bad!, good!]) await pool.heartbeat(node, busyReport(1));
  vi.setSystemTime(Date.now() + 10_000);
  for (const node of [bad!, good!]) await pool.heartbeat(node, busyReport(1));
  vi.spyOn(globalThis, 'fetch').mockImplementation(async () => Response.json({ ok: true }));
  const isolates = new Isolates(40, { env, modelId });
  const healthSeen = async (i: number) => {
    const background: Promise<unknown>[] = [];
    const { snapshot } = await isolates.read(i, (promise) => background.push(promise));
    await Promise.all(background);
    return snapshot.nodes.find(({ id }) => id === bad!.id)!.health;
  };
  for (let i = 0; i < 40; i++) expect(await healthSeen(i)).toBe('up');
  for (const accountId of ['acct_a', 'acct_b'])
    await pool.reportFailure({ nodeId: bad!.id, accountId, startedAgoMs: 0 });
  // Three requests a second: one that finds its snapshot old does not wait for the new one, which the next one then has.
  vi.setSystemTime(Date.now() + 700);
  for (let passedMs = 700; passedMs < 1_900; passedMs += 300) {
    for (let i = 0; i < 40; i++) await healthSeen(i);
    vi.setSystemTime(Date.now() + 300);
  }
  for (let i = 0; i < 40; i++) expect(await healthSeen(i)).toBe('ejected');
});
