import { describe, expect, it } from 'vitest';
import type { NodeView } from '../../worker/domain/node.ts';
import { affinity } from '../../worker/domain/routing/affinity.ts';
import { hash32 } from '../../worker/domain/routing/hash.ts';
import { learnPace, type MeasuredNode, nodeWeights } from '../../worker/domain/routing/measured-capacity.ts';
import type { Candidate, RouteRequest } from '../../worker/domain/routing/policy.ts';
import { fullness, waitSeconds } from '../../worker/domain/routing/wait-estimate.ts';
import { IDLE, nodeView } from './node-view.ts';

interface CandidateChange {
  weight?: number;
  load?: Partial<NodeView['load']>;
  local?: Candidate['local'];
}

function candidate(id: string, { weight = 1, load = {}, local }: CandidateChange = {}): Candidate {
  const node = nodeView(id, { load: { ...IDLE, ...load } });
  return { node, seed: hash32(id), weight, local: local ?? { requests: 0, waitingTokens: 0 } };
}

const request = (over: Partial<RouteRequest> = {}): RouteRequest => ({
  affinity: hash32('conversation'),
  promptTokens: 4_000,
  home: null,
  ...over,
});
const keys = Array.from({ length: 8_000 }, (_, i) => hash32(`conversation ${i}`));
const choice = (all: readonly Candidate[], over: Partial<RouteRequest> = {}) =>
  affinity(all, request(over))?.node.id ?? null;

describe('a conversation without a home', () => {
  const pool = [candidate('a'), candidate('b', { weight: 2 }), candidate('c')];

  it('goes to no node when there is none', () => {
    expect(choice([])).toBeNull();
    expect(choice([candidate('a')])).toBe('a');
  });

  it('gives each node its share by weight', () => {
    const counts: Record<string, number> = {};
    for (const affinityKey of keys) {
      const chosen = choice(pool, { affinity: affinityKey })!;
      counts[chosen] = (counts[chosen] ?? 0) + 1;
    }
    expect(counts.a! / keys.length).toBeCloseTo(0.25, 1);
    expect(counts.b! / keys.length).toBeCloseTo(0.5, 1);
    expect(counts.c! / keys.length).toBeCloseTo(0.25, 1);
  });

  it('moves only to the node that joined', () => {
    const joined = [...pool, candidate('d')];
    for (const key of keys) {
      const before = choice(pool, { affinity: key });
      const now = choice(joined, { affinity: key });
      if (now !== 'd') expect(now).toBe(before);
    }
  });

  it('does not depend on the order of the snapshot', () => {
    for (const key of keys.slice(0, 500))
      expect(choice([...pool].reverse(), { affinity: key })).toBe(choice(pool, { affinity: key }));
  });

  it('takes the emptier of its two nodes, and no third, however empty', () => {
    const ids = ['a', 'b', 'c', 'd', 'e'];
    const busy = { load: { used_tokens: 600_000 } };
    for (const key of keys.slice(0, 300)) {
      const first = choice(
        ids.map((id) => candidate(id)),
        { affinity: key },
      )!;
      const second = choice(
        ids.filter((id) => id !== first).map((id) => candidate(id)),
        { affinity: key },
      )!;
      const rest = ids.filter((id) => id !== first && id !== second).map((id) => candidate(id));
      const among = (one: CandidateChange, two: CandidateChange) =>
        choice([candidate(first, one), candidate(second, two), ...rest], { affinity: key });
      expect(among(busy, {})).toBe(second);
      expect(among({}, busy)).toBe(first);
      expect(among(busy, busy)).toBe(first);
    }
  });

  it('does not take a node for empty when it reports no sizes', () => {
    const first = choice(pool)!;
    const silent = { capacity_tokens: 0, max_running_requests: 0 };
    const among = (quiet: (id: string) => boolean) =>
      choice(
        pool.map((each) =>
          quiet(each.node.id)
            ? { ...each, node: { ...each.node, load: { ...each.node.load, ...silent } } }
            : each,
        ),
      );
    expect(among((id) => id !== first)).toBe(first);
    expect(among((id) => id === first)).toBe(first);
  });

  it('counts the requests that this isolate has sent since the snapshot', () => {
    const first = choice(pool)!;
    const local = { requests: 40, waitingTokens: 900_000 };
    expect(choice(pool.map((each) => (each.node.id === first ? { ...each, local } : each)))).not.toBe(first);
  });
});

describe('a conversation with a home', () => {
  const ids = ['a', 'b', 'c', 'd'];
  const otherNode = ids.find((id) => {
    const all = ids.map((each) => candidate(each));
    const first = choice(all)!;
    return id !== first && id !== choice(all.filter(({ node }) => node.id !== first));
  })!;
  const at = (change: CandidateChange, promptTokens = 30_000, cachedTokens = 28_000) =>
    choice(
      ids.map((id) => candidate(id, id === otherNode ? change : {})),
      { promptTokens, home: { nodeId: otherNode, cachedTokens } },
    );

  it('stays, wherever hashing would put it', () => {
    expect(at({})).toBe(otherNode);
    expect(at({ load: { used_tokens: 900_000, running_requests: 200 } })).toBe(otherNode);
  });

  it('stays while waiting there costs less than computing its prompt elsewhere', () => {
    expect(at({ load: { waiting_tokens: 20_000 } })).toBe(otherNode);
  });

  it('moves when waiting costs more, and sooner when less is cached', () => {
    expect(at({ load: { waiting_tokens: 40_000 } })).not.toBe(otherNode);
    expect(at({ load: { waiting_tokens: 20_000 } }, 30_000, 1_000)).not.toBe(otherNode);
  });

  it('is placed like a new one when its home is not a candidate', () => {
    const left = ids.filter((id) => id !== otherNode).map((id) => candidate(id));
    const home = { nodeId: otherNode, cachedTokens: 3_000 };
    expect(choice(left, { home })).toBe(choice(left));
  });
});

describe('the estimates for a node', () => {
  it('convert its queue to seconds by its output rate', () => {
    const slow = { waiting_requests: 4, generation_tokens_per_second: 200 };
    expect(waitSeconds(candidate('a', { load: slow }))).toBeCloseTo(40);
    expect(waitSeconds(candidate('a', { load: { ...slow, waiting_requests: 0 } }))).toBe(0);
    const local = { requests: 1, waitingTokens: 16_000 };
    expect(waitSeconds(candidate('a', { local }))).toBeCloseTo(1);
  });

  it('take the fuller of cache and slots', () => {
    expect(fullness(candidate('a', { load: { used_tokens: 400_000 } }), 100_000)).toBeCloseTo(0.5);
    expect(fullness(candidate('a', { load: { running_requests: 127 } }), 100)).toBeCloseTo(0.5);
    for (const missing of ['capacity_tokens', 'max_running_requests'] as const)
      expect(fullness(candidate('a', { load: { [missing]: 0 } }), 100)).toBeNull();
  });
});

describe('measured capacity', () => {
  const running = { running_requests: 10, used_tokens: 100_000, generation_tokens_per_second: 300 };
  const measured = (hardware: string, over: Partial<MeasuredNode> = {}): MeasuredNode => ({
    hardware,
    capacity: 100,
    load: IDLE,
    pace: null,
    weight: null,
    ...over,
  });

  it('is the registered one until something has run', () => {
    expect(learnPace(null, IDLE, 2_000)).toBeNull();
    expect(nodeWeights([measured('x', { capacity: 100 }), measured('y', { capacity: 300 })])).toEqual([
      100, 300,
    ]);
  });

  it('takes the first measurement at once, and later ones slowly', () => {
    const pace = learnPace(null, { ...IDLE, ...running }, 2_000)!;
    expect(pace).toEqual({ tokensPerSecond: 30, contextTokens: 10_000 });
    const next = learnPace(pace, { ...IDLE, ...running, generation_tokens_per_second: 600 }, 2_000)!;
    expect(next.tokensPerSecond).toBeGreaterThan(30);
    expect(next.tokensPerSecond).toBeLessThan(31);
    expect(learnPace(pace, IDLE, 1e9)).toBe(pace);
  });

  it('is the requests that fit cache and slots, times the rate of each', () => {
    const small = { ...IDLE, capacity_tokens: 200_000 };
    const pace = { tokensPerSecond: 10, contextTokens: 10_000 };
    // 20 requests in the small cache; 100 in the large one
    const [a, b] = nodeWeights([measured('small', { load: small, pace }), measured('large', { pace })]);
    expect(b! / a!).toBeCloseTo(5);
    expect(a! + b!).toBeCloseTo(200);
    const shallow = { tokensPerSecond: 10, contextTokens: 100 };
    const [c, d] = nodeWeights([
      measured('small', { load: small, pace: shallow }),
      measured('large', { pace: shallow }),
    ]);
    expect(d! / c!).toBeCloseTo(1);
  });

  it('is shared by all nodes with the same hardware, and keeps the ratio to hardware without measurements', () => {
    const pace = (tokensPerSecond: number) => ({ tokensPerSecond, contextTokens: 10_000 });
    const weights = nodeWeights([
      measured('x', { pace: pace(10) }),
      measured('x', { pace: pace(30) }),
      measured('y', { capacity: 50 }),
    ]);
    expect(weights[0]).toBeCloseTo(weights[1]!);
    expect(weights[2]! / weights[0]!).toBeCloseTo(0.5);
  });

  it('is bounded when a node reports falsehoods', () => {
    const lies = { ...IDLE, capacity_tokens: 1e10, max_running_requests: 1e6 };
    const paces = [1e308, 1e7, 0].map((tokensPerSecond) => ({ tokensPerSecond, contextTokens: 1 }));
    for (const pace of paces) {
      const weights = nodeWeights([measured('x', { load: lies, pace }), measured('y'), measured('z')]);
      for (const weight of weights) expect(weight >= 100 / 8 && weight <= 100 * 8).toBe(true);
    }
  });

  it('changes in steps, so that conversations do not move without need', () => {
    const pace = (tokensPerSecond: number) => ({ tokensPerSecond, contextTokens: 10_000 });
    const nodes = (tokensPerSecond: number) => [
      measured('x', { pace: pace(10), weight: 100 }),
      measured('y', { pace: pace(tokensPerSecond), weight: 100 }),
    ];
    expect(nodeWeights(nodes(11))).toEqual([100, 100]);
    const [x, y] = nodeWeights(nodes(20));
    expect(y! / x!).toBeCloseTo(2);
  });
});
