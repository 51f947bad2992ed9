/** The simulator, and the serving policy's figures in it. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROFILES } from '../../../gpu-pool/emulator/profiles.ts';
import type { Hardware } from '../../../gpu-pool/protocol/schemas.ts';
import { BlockCache } from '../../../gpu-pool/simulator/block-cache.ts';
import { ceilingHitRate } from '../../../gpu-pool/simulator/ceiling.ts';
import { measure } from '../../../gpu-pool/simulator/measure.ts';
import { MinHeap } from '../../../gpu-pool/simulator/min-heap.ts';
import { plan } from '../../../gpu-pool/simulator/plan.ts';
import { POLICIES } from '../../../gpu-pool/simulator/policies.ts';
import { recovery } from '../../../gpu-pool/simulator/recovery.ts';
import { failedNodeIndexes, type Outage, replay } from '../../../gpu-pool/simulator/replay.ts';
import { SimEngine } from '../../../gpu-pool/simulator/sim-engine.ts';
import { makeSyntheticTrace } from '../../../gpu-pool/simulator/synthetic-trace.ts';
import { readTrace, resizeTrace, type TraceRequest } from '../../../gpu-pool/simulator/trace.ts';

const MIX: Hardware[] = ['8xh800-pair', '8xmi300x', '8xmi300x'];
const pool = (nodes: number) => Array.from({ length: nodes }, (_, index) => MIX[index % MIX.length]!);
const ROUTERS = { isolates: 200, snapshotAgeMs: 2_000, queuedMax: 256, seed: 1 };

describe('an engine in virtual time', () => {
  const profile = PROFILES['8xmi300x'];
  const traceRequest = (blocks: number[], outputTokens: number): TraceRequest => ({
    atMs: 0,
    promptTokens: blocks.length * 512,
    outputTokens,
    blocks,
  });

  function run(requests: TraceRequest[], override: Partial<typeof profile> = {}) {
    const engine = new SimEngine({ ...profile, ...override }, 100);
    const seen = requests.map(() => ({ firstMs: 0, endMs: 0, cached: 0 }));
    for (const [index, request] of requests.entries()) {
      engine.submit(
        {
          request,
          onFirstToken: (ms, cached) => Object.assign(seen[index]!, { firstMs: ms, cached }),
          onEnd: (ms) => Object.assign(seen[index]!, { endMs: ms }),
          onLost: () => expect.unreachable(),
        },
        0,
      );
    }
    for (let ms = engine.nextAtMs; ms !== null; ms = engine.nextAtMs) engine.advance(ms);
    return { engine, seen };
  }

  it('takes prefill and a step for each further token', () => {
    const { seen } = run([traceRequest([1, 2], 11)]);
    const prefillMs = profile.prefillBaseMs + (1_024 / profile.prefillTokensPerSecond) * 1_000;
    const stepMs = profile.decodeBaseMs + profile.decodePerSequenceMs;
    expect(seen[0]!.firstMs).toBeCloseTo(prefillMs);
    expect(seen[0]!.endMs).toBeCloseTo(prefillMs + 10 * stepMs);
  });

  it('finds blocks that were computed before, and not those that are being computed', () => {
    const engine = new SimEngine(profile, 100);
    const cached: number[] = [];
    const submit = (blocks: number[], atMs: number) =>
      engine.submit(
        {
          request: traceRequest(blocks, 2),
          onFirstToken: (_, found) => cached.push(found),
          onEnd() {},
          onLost() {},
        },
        atMs,
      );
    submit([9], 0);
    // Both wait for the first, and are then computed together.
    submit([1, 2, 3], 0);
    submit([1, 2, 4], 0);
    let nowMs = 0;
    for (; engine.nextAtMs !== null; engine.advance(nowMs)) nowMs = engine.nextAtMs;
    submit([1, 2, 3, 5], nowMs);
    while (engine.nextAtMs !== null) engine.advance(engine.nextAtMs);
    expect(cached).toEqual([0, 0, 0, 1_536]);
  });

  it('queues requests that do not fit, refuses them when the queue is full, and loses none', () => {
    const requests = Array.from({ length: 40 }, (_, i) => traceRequest([10 * i, 10 * i + 1], 50 + i));
    const { engine, seen } = run(requests, { kvCapacityTokens: 20_000 });
    expect(Math.max(...seen.map(({ endMs }) => endMs))).toBeGreaterThan(2_000);
    for (const { firstMs, endMs } of seen) expect(endMs).toBeGreaterThan(firstMs);
    expect(engine.load(1e6)).toMatchObject({ running_requests: 0, waiting_requests: 0, used_tokens: 0 });
    expect(engine.cache.tokens).toBeLessThanOrEqual(20_000);

    const narrow = new SimEngine({ ...profile, maxRunningRequests: 1 }, 2);
    const callbacks = { onFirstToken() {}, onEnd() {}, onLost() {} };
    const answers = [1, 2, 3, 4].map((id) =>
      narrow.submit({ request: traceRequest([id], 5), ...callbacks }, 0),
    );
    expect(answers).toEqual(['accepted', 'accepted', 'accepted', 'queue_full']);
  });
});

describe('the block cache', () => {
  it('evicts the least recently used, leaves first, and nothing in use', () => {
    const cache = new BlockCache();
    const use = (blocks: number[]) => {
      cache.lock(blocks, () => 512);
      cache.ready(blocks);
      cache.unlock(blocks);
    };
    use([1, 2, 3]);
    use([1, 4]);
    cache.evictTo(3 * 512);
    expect(cache.match([1, 2, 3])).toBe(2);
    cache.lock([1, 2], () => 512);
    cache.evictTo(0);
    expect([cache.match([1, 2]), cache.match([1, 4]), cache.tokens]).toEqual([2, 1, 1_024]);
  });
});

it('a heap returns the least item first', () => {
  const heap = new MinHeap<number>((item) => item);
  const numbers = Array.from({ length: 200 }, (_, i) => (i * 7_919) % 199);
  for (const each of numbers) heap.push(each);
  const popped = Array.from(numbers, () => heap.pop());
  expect(popped).toEqual(numbers.toSorted((a, b) => a - b));
  expect([heap.pop(), heap.size]).toEqual([undefined, 0]);
});

describe('traces', () => {
  async function file(text: string): Promise<string> {
    const path = join(await mkdtemp(join(tmpdir(), 'trace-')), 'trace.jsonl');
    await writeFile(path, text);
    return path;
  }

  it('are read, scaled and sorted', async () => {
    const path = await file(
      `{"timestamp":2000,"input_length":600,"output_length":10,"hash_ids":[0,2]}\n\n{"timestamp":0,"input_length":512,"output_length":3,"hash_ids":[1]}\n`,
    );
    expect(await readTrace(path, { output: 8, rate: 2 })).toEqual([
      { atMs: 0, promptTokens: 512, outputTokens: 24, blocks: [1] },
      { atMs: 1_000, promptTokens: 600, outputTokens: 80, blocks: [0, 2] },
    ]);
  });

  it.each([
    ['no JSON', 'nonsense'],
    ['a negative time', '{"timestamp":-1,"input_length":5,"output_length":1,"hash_ids":[1]}'],
    ['no blocks', '{"timestamp":0,"input_length":5,"output_length":1,"hash_ids":[]}'],
    [
      'blocks that are not its tokens',
      '{"timestamp":0,"input_length":5000,"output_length":1,"hash_ids":[1]}',
    ],
  ])('are refused with the line: %s', async (_, line) => {
    await expect(readTrace(await file(`${line}\n`), { output: 1, rate: 1 })).rejects.toThrow(/line 1/);
  });

  it('are refused when empty', async () => {
    await expect(readTrace(await file(''), { output: 1, rate: 1 })).rejects.toThrow(/no requests/);
  });

  it('grow by conversations of other customers and shrink by whole conversations', () => {
    const trace = makeSyntheticTrace({ requests: 800, seed: 3 });
    const wide = resizeTrace(trace, 3, 1e6);
    expect(wide.length).toBe(3 * trace.length);
    expect(new Set(wide.flatMap(({ blocks }) => blocks)).size).toBe(
      3 * new Set(trace.flatMap(({ blocks }) => blocks)).size,
    );
    const narrow = resizeTrace(trace, 0.25, 1e6);
    expect(narrow.length / trace.length).toBeGreaterThan(0.1);
    expect(narrow.length / trace.length).toBeLessThan(0.4);
  });
});

describe('a replay', () => {
  const trace = makeSyntheticTrace({ requests: 1_500, seed: 7 });

  it('is the same for the same seed, and differs for another', () => {
    const run = (seed: number) =>
      measure(replay({ ...ROUTERS, trace, hardware: pool(8), policySetup: POLICIES.random, seed }));
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });

  it.each(Object.keys(POLICIES) as (keyof typeof POLICIES)[])(
    'of %s accounts for every request',
    (policy) => {
      const { outcomes } = replay({ ...ROUTERS, trace, hardware: pool(8), policySetup: POLICIES[policy] });
      expect(outcomes.length).toBe(trace.length);
      for (const { end, ttftMs, decodeMs, node, attempts, cachedTokens, request } of outcomes) {
        expect(end).toBe('served');
        expect([ttftMs! > 0, decodeMs! >= 0, node !== null, attempts]).toEqual([true, true, true, 1]);
        expect(cachedTokens).toBeLessThan(request.promptTokens);
      }
    },
  );

  it('of a pool that is too small refuses early instead of piling up', () => {
    const crowd = trace.map((request) => ({ ...request, atMs: request.atMs / 200 }));
    const figures = measure(
      replay({ ...ROUTERS, queuedMax: 8, trace: crowd, hardware: pool(2), policySetup: POLICIES.affinity }),
    );
    expect(figures.served).toBeLessThan(figures.requests);
    expect(figures.served + figures.broken).toBeGreaterThan(0);
    expect(figures.amplification).toBeLessThanOrEqual(3);
  });

  it('loses no request without a token when nodes die, and uses them again when they are back', () => {
    const outage: Outage = { atMs: 1_200_000, share: 1 / 3, forMs: 600_000 };
    const options = { ...ROUTERS, trace, hardware: pool(9), policySetup: POLICIES.affinity };
    expect([...failedNodeIndexes(outage, options.hardware)].map((index) => options.hardware[index])).toEqual(
      expect.arrayContaining(['8xh800-pair', '8xmi300x']),
    );
    const replayed = replay({ ...options, outage });
    const dead = failedNodeIndexes(outage, options.hardware);
    const result = recovery(
      replayed,
      replay({ ...options, hardware: options.hardware.filter((_, index) => !dead.has(index)) }),
      outage,
    );
    expect(result).toMatchObject({ struck: 3, refused: 0 });
    expect(result.rescued).toBeGreaterThan(0);
    expect(result.broken).toBeGreaterThan(0);
    const back = replayed.outcomes.filter(
      ({ request, node }) => request.atMs > 1_815_000 && node !== null && dead.has(node),
    );
    expect(back.length).toBeGreaterThan(10);
  });
});

describe('the planner', () => {
  const sales = {
    promptTokensPerDay: 1e9,
    outputTokensPerDay: 1e8,
    hitRate: 0.5,
    hitUsd: 0.1,
    missUsd: 0.5,
    outputUsd: 2,
  };

  it('computes cost, revenue, margin and utilisation', () => {
    const gpuHourUsd = { '8xh800-pair': 2, '8xh800': 2, '8xh200': 3, '8xmi300x': 2.5 };
    const result = plan({ nodes: { '8xmi300x': 2, '8xh200': 1 }, gpuHourUsd }, sales);
    expect(result.gpus).toBe(24);
    expect(result.costPerDayUsd).toBeCloseTo(24 * (16 * 2.5 + 8 * 3));
    expect(result.revenuePerDayUsd).toBeCloseTo(50 + 250 + 200);
    expect(result.costPerMillionUsd).toBeCloseTo(result.costPerDayUsd / 1_100);
    expect(result.marginPerMillionUsd).toBeCloseTo((500 - result.costPerDayUsd) / 1_100);
    expect(result.margin).toBeCloseTo((500 - result.costPerDayUsd) / 500);
    const seconds = 5e8 / (14_000 * 2 + 16_000) + 1e8 / (1_730 * 2 + 1_789);
    expect(result.utilisation).toBeCloseTo(seconds / 86_400);
    expect(result.breakEvenUtilisation).toBeCloseTo((result.utilisation * result.costPerDayUsd) / 500);
  });
});

const MOONCAKE = join(import.meta.dirname, '../../data/mooncake/conversation_trace.jsonl.gz');

describe('the serving policy on sixteen mixed nodes and the Mooncake conversation trace', () => {
  const load = () => readTrace(MOONCAKE, { output: 8, rate: 1 });

  it('reaches 97 % of the possible hit rate, with a lower TTFT than every baseline', async () => {
    const options = { ...ROUTERS, trace: await load(), hardware: pool(16) };
    const affinity = measure(replay({ ...options, policySetup: POLICIES.affinity }));
    expect(affinity.hitRate / ceilingHitRate(options)).toBeGreaterThanOrEqual(0.97);
    expect(affinity).toMatchObject({ served: options.trace.length, amplification: 1 });
    const {
      affinity: _,
      affinity_without_homes: _ablated,
      longest_prefix_one_router: _omniscient,
      ...baselines
    } = POLICIES;
    for (const [name, policySetup] of Object.entries(baselines)) {
      const { ttftP99Ms } = measure(replay({ ...options, policySetup }));
      expect([name, affinity.ttftP99Ms < ttftP99Ms]).toEqual([name, true]);
    }
  });

  it('keeps the nodes balanced', async () => {
    const options = { ...ROUTERS, trace: await load(), hardware: pool(16) };
    expect(measure(replay({ ...options, policySetup: POLICIES.affinity })).imbalance).toBeLessThanOrEqual(
      1.15,
    );
  });

  it('recovers within the time of a cache refill when a third of the nodes dies', async () => {
    const options = { ...ROUTERS, trace: await load(), hardware: pool(16), policySetup: POLICIES.affinity };
    const outage: Outage = { atMs: 1_800_000, share: 1 / 3, forMs: 1e9 };
    const dead = failedNodeIndexes(outage, options.hardware);
    const survivors = replay({
      ...options,
      hardware: options.hardware.filter((_, index) => !dead.has(index)),
    });
    const result = recovery(replay({ ...options, outage }), survivors, outage);
    expect(result.recoveredAfterMs).toBeLessThanOrEqual(result.refillMs);
    // A request that meets three dead nodes within the two seconds of a snapshot's age is refused, and may be
    // retried.
    expect(result.refused / options.trace.length).toBeLessThan(0.002);
  });
});
