/**
 * Cost of a routing decision with a thousand nodes. Candidates are prepared once per snapshot, so a decision is one
 * pass over them.
 */
import { expect, it } from 'vitest';
import type { NodeView, PoolSnapshot } from '../../worker/domain/node.ts';
import { hash32 } from '../../worker/domain/routing/hash.ts';
import { beginAttempt } from '../../worker/gateway/node/local-state.ts';
import { chooseNode } from '../../worker/gateway/route.ts';
import { nodeView } from './node-view.ts';

const NODES = 1_000;
const DECISIONS = 20_000;
/** About ten times the usual median, as a test machine may be busy with other work. */
const MEDIAN_US_MAX = 200;

const snapshot = (atMs: number): PoolSnapshot => ({
  atMs,
  nodes: Array.from({ length: NODES }, (_, i) => viewOf(i)),
});
const PARTY = { accountId: 'acct_a', background: false };
const route = (key: number) => ({
  affinity: hash32(`conversation ${key}`),
  promptTokens: 3_000,
  home: null,
  tried: new Set<string>(),
  party: PARTY,
});

it('takes microseconds, with requests of this isolate in flight', () => {
  const atMs = 1_000_000;
  const pool = snapshot(atMs);
  const tookUs: number[] = [];
  for (let i = 0; i < DECISIONS; i++) {
    const request = route(i);
    const startedMs = performance.now();
    const { node } = chooseNode(pool, request, atMs + i / 100);
    tookUs.push(1_000 * (performance.now() - startedMs));
    if (i % 3 === 0) beginAttempt(node!, request, atMs).answered(atMs);
  }
  tookUs.sort((a, b) => a - b);
  const medianUs = tookUs[DECISIONS >> 1]!;
  console.log(
    `a decision among ${NODES} nodes: ${medianUs.toFixed(1)} µs at the median, ${tookUs[Math.floor(DECISIONS * 0.99)]!.toFixed(1)} µs at p99`,
  );
  expect(medianUs).toBeLessThan(MEDIAN_US_MAX);
});

it('prepares candidates once per snapshot, and again only after a change', () => {
  const atMs = 2_000_000;
  const pool = snapshot(atMs);
  let read = 0;
  const observed: PoolSnapshot = {
    atMs,
    get nodes() {
      read += 1;
      return pool.nodes;
    },
  };
  const choose = (nowMs: number) => chooseNode(observed, route(1), nowMs).node!;
  const home = choose(atMs);
  const once = read;
  for (let i = 0; i < 100; i++) choose(atMs + i);
  expect(read).toBe(once);
  const failed = beginAttempt(home, { promptTokens: 1, party: PARTY }, atMs);
  failed.failed(atMs + 100);
  failed.end();
  expect(choose(atMs + 100)).not.toBe(home);
  expect(read).toBeGreaterThan(once);
  const twice = read;
  for (let i = 0; i < 100; i++) choose(atMs + 100 + i);
  expect(read).toBe(twice);
  // The breaker is half open by then.
  choose(atMs + 2_100);
  expect(read).toBeGreaterThan(twice);
});

function viewOf(i: number): NodeView {
  return nodeView(`node_${i}`, {
    url: `https://10.0.${i >> 8}.${i & 255}:8443`,
    capacity: 1_000 + (i % 3) * 500,
    load: {
      running_requests: i % 100,
      waiting_requests: i % 7,
      waiting_tokens: (i % 7) * 2_000,
      used_tokens: i * 300,
      capacity_tokens: 340_000,
      max_running_requests: 128,
      max_queued_requests: 256,
      generation_tokens_per_second: 600,
      cache_hit_rate: 0.4,
    },
  });
}
