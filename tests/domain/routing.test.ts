import { describe, expect, it } from 'vitest';
import type { NodeView } from '../../worker/domain/node.ts';
import { affinity } from '../../worker/domain/routing/affinity.ts';
import { eject, FRESH, isEjected } from '../../worker/domain/routing/ejection.ts';
import { eligible } from '../../worker/domain/routing/eligible.ts';
import { hash32 } from '../../worker/domain/routing/hash.ts';
import { healthOf } from '../../worker/domain/routing/health.ts';
import type { Candidate } from '../../worker/domain/routing/policy.ts';

const idle = {
  running_requests: 0,
  waiting_requests: 0,
  waiting_tokens: 0,
  used_tokens: 0,
  capacity_tokens: 1_000_000,
  max_running_requests: 256,
  max_queued_requests: null,
  generation_tokens_per_second: 0,
  cache_hit_rate: 0,
};

function node(id: string, over: Partial<NodeView> = {}): NodeView {
  return {
    id,
    name: id,
    modelId: 'm',
    hardware: '8xh200',
    url: `http://${id}`,
    capacity: 1_000,
    state: 'active',
    health: 'up',
    draining: false,
    lastHeartbeatMs: 0,
    inFlight: 0,
    load: idle,
    ...over,
  };
}

const candidates = (...nodes: NodeView[]): Candidate[] =>
  nodes.map((each) => ({ node: each, ownInFlight: 0 }));
const keys = Array.from({ length: 8_000 }, (_, i) => ({ affinity: hash32(`conversation ${i}`) }));
const first = (all: Candidate[], key: { affinity: number }) => affinity(all, key)[0]!.node.id;

describe('weighted rendezvous', () => {
  const pool = candidates(node('a'), node('b', { capacity: 2_000 }), node('c'));

  it('gives each node its share by capacity', () => {
    const counts: Record<string, number> = {};
    for (const key of keys) counts[first(pool, key)] = (counts[first(pool, key)] ?? 0) + 1;
    expect(counts.a! / keys.length).toBeCloseTo(0.25, 1);
    expect(counts.b! / keys.length).toBeCloseTo(0.5, 1);
    expect(counts.c! / keys.length).toBeCloseTo(0.25, 1);
  });

  it("moves only a leaving node's part", () => {
    const without = pool.filter((each) => each.node.id !== 'a');
    for (const key of keys) {
      const before = first(pool, key);
      if (before !== 'a') expect(first(without, key)).toBe(before);
    }
  });

  it('gives a joining node its part and leaves the rest where it was', () => {
    const joined = [...pool, ...candidates(node('d'))];
    for (const key of keys) {
      const now = first(joined, key);
      if (now !== 'd') expect(now).toBe(first(pool, key));
    }
  });

  it('does not depend on the order of the snapshot', () => {
    for (const key of keys.slice(0, 200)) expect(first([...pool].reverse(), key)).toBe(first(pool, key));
  });

  it('offers every node once, for retries', () => {
    expect(
      affinity(pool, keys[0]!)
        .map((each) => each.node.id)
        .sort(),
    ).toEqual(['a', 'b', 'c']);
  });
});

describe('spill', () => {
  const key = keys[0]!;
  const home = first(candidates(node('a'), node('b'), node('c')), key);
  const withLoad = (running: number, elsewhere: number) =>
    candidates(
      ...['a', 'b', 'c'].map((id) =>
        node(id, { load: { ...idle, running_requests: id === home ? running : elsewhere } }),
      ),
    );

  it('leaves a conversation at home while home is not much busier than the rest', () => {
    expect(first(withLoad(7, 0), key)).toBe(home);
    expect(first(withLoad(60, 50), key)).toBe(home);
  });

  it('moves it on when home is half again as busy, and by more than a few requests', () => {
    const moved = affinity(withLoad(60, 10), key);
    expect(moved[0]!.node.id).not.toBe(home);
    expect(moved.map((each) => each.node.id)).toContain(home);
  });

  it('counts what this isolate has sent since the snapshot', () => {
    const all = withLoad(0, 0).map((each) => ({ ...each, ownInFlight: each.node.id === home ? 40 : 0 }));
    expect(first(all, key)).not.toBe(home);
  });
});

describe('eligible nodes', () => {
  const ids = (nodes: NodeView[]) => nodes.map(({ id }) => id);

  it('serve: active, up, not draining, not tried', () => {
    const nodes = [
      node('up'),
      node('up2'),
      node('up3'),
      node('draining', { draining: true }),
      node('drained', { state: 'draining' }),
      node('removed', { state: 'removed' }),
      node('silent', { health: 'silent' }),
      node('down', { health: 'engine_down' }),
    ];
    expect(ids(eligible(nodes, new Set(['up2'])))).toEqual(['up', 'up3']);
  });

  it('include ejected ones when more than half is out, but never dead ones', () => {
    const nodes = [
      node('a', { health: 'ejected' }),
      node('b', { health: 'ejected' }),
      node('c', { health: 'silent' }),
    ];
    expect(ids(eligible(nodes, new Set()))).toEqual(['a', 'b']);
    expect(ids(eligible([node('a', { health: 'ejected' }), node('b')], new Set()))).toEqual(['b']);
  });
});

describe('ejection', () => {
  it('grows with failures in a row, is forgotten after a quiet time, and ignores echoes', () => {
    const one = eject(FRESH, 100_000);
    expect(one).toEqual({ streak: 1, untilMs: 102_000 });
    expect(eject(one, 101_000)).toBe(one);
    const two = eject(one, 103_000);
    expect(two).toEqual({ streak: 2, untilMs: 107_000 });
    expect(isEjected(two, 106_999)).toBe(true);
    expect(isEjected(two, 107_000)).toBe(false);
    expect(eject(two, 200_000)).toEqual({ streak: 1, untilMs: 202_000 });
    let many = FRESH;
    for (let i = 0; i < 20; i++) many = eject(many, many.untilMs + 1);
    expect(many.untilMs).toBeLessThanOrEqual(20 * 30_001);
  });

  it('is only one of the reasons why a node is not up', () => {
    const known = { lastHeartbeatMs: 10_000, report: { engineHealthy: true }, probation: FRESH };
    expect(healthOf(known, 11_000)).toBe('up');
    expect(healthOf(known, 17_001)).toBe('silent');
    expect(healthOf({ ...known, report: { engineHealthy: false } }, 11_000)).toBe('engine_down');
    expect(healthOf({ ...known, probation: { streak: 1, untilMs: 12_000 } }, 11_000)).toBe('ejected');
  });
});
