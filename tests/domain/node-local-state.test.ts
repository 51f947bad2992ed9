/** An isolate's local state of nodes, beside the snapshot: its own requests, its own breakers, and queues it found full. */
import { describe, expect, it } from 'vitest';
import type { NodeHealth, NodeView, PoolSnapshot } from '../../worker/domain/node.ts';
import { hash32 } from '../../worker/domain/routing/hash.ts';
import {
  beginAttempt,
  changeCount,
  hasOwnOutlook,
  inFlightTotal,
  localStateOf,
} from '../../worker/gateway/node/local-state.ts';
import { chooseNode, overloadWaitMs } from '../../worker/gateway/route.ts';
import { nodeView } from './node-view.ts';

const T = 1_000_000;
const party = { accountId: 'acct_a', background: false };
const prompt = { promptTokens: 700, party };
let pools = 0;

function newPool(size: number) {
  pools += 1;
  const modelId = `model-${pools}`;
  const nodes = Array.from({ length: size }, (_, i) => nodeView(`${modelId}/${i}`, { modelId }));
  const snapshot = (atMs: number, healths: Record<number, NodeHealth> = {}): PoolSnapshot => ({
    atMs,
    nodes: nodes.map((node, i) => ({ ...node, health: healths[i] ?? 'up' })),
  });
  return { nodes, snapshot };
}

const choose = (snapshot: PoolSnapshot, key: number, nowMs: number, tried: string[] = []) =>
  chooseNode(
    snapshot,
    { affinity: hash32(`conversation ${key}`), ...prompt, home: null, tried: new Set(tried) },
    nowMs,
  ).node?.id;

/** The nodes that are chosen for many conversations, without a request being sent. */
const chosen = (snapshot: PoolSnapshot, nowMs: number) =>
  new Set(Array.from({ length: 500 }, (_, key) => choose(snapshot, key, nowMs)));

function failAt(node: NodeView, nowMs: number): void {
  const failed = beginAttempt(node, prompt, nowMs);
  failed.failed(nowMs);
  failed.end();
}

describe('a request at a node', () => {
  it('counts until it ends, and its prompt until its first token', () => {
    const [node] = newPool(1).nodes as [NodeView];
    const before = inFlightTotal();
    const first = beginAttempt(node, prompt, T);
    const second = beginAttempt(node, prompt, T);
    expect(localStateOf(node).load).toEqual({ requests: 2, waitingTokens: 1_400 });
    expect(inFlightTotal()).toBe(before + 2);
    first.answered(T);
    expect(localStateOf(node).load).toEqual({ requests: 2, waitingTokens: 700 });
    first.end();
    first.end();
    expect(localStateOf(node).load).toEqual({ requests: 1, waitingTokens: 700 });
    second.end();
    second.answered(T);
    expect(localStateOf(node).load).toEqual({ requests: 0, waitingTokens: 0 });
    expect(inFlightTotal()).toBe(before);
  });

  it('causes no new routing decision while the node is well', () => {
    const [node] = newPool(1).nodes as [NodeView];
    const before = changeCount();
    const first = beginAttempt(node, prompt, T);
    first.answered(T + 5);
    first.end();
    expect(changeCount()).toBe(before);
  });
});

describe('a node that failed here', () => {
  it('gets one request when its opening ends, and the next when that one ends', () => {
    const { nodes, snapshot } = newPool(4);
    const [failed, ...others] = nodes as [NodeView, ...NodeView[]];
    const now = snapshot(T);
    failAt(failed, T);
    // The other nodes are as busy as the failed one will be.
    for (const other of others) beginAttempt(other, prompt, T);
    expect(chosen(now, T + 1_999)).not.toContain(failed.id);
    expect(chosen(now, T + 2_000)).toContain(failed.id);
    const probe = beginAttempt(failed, prompt, T + 2_000);
    expect(chosen(now, T + 2_000)).not.toContain(failed.id);
    // The client disconnected, so nothing is known about the node.
    probe.end();
    expect(chosen(now, T + 2_000)).toContain(failed.id);
    const next = beginAttempt(failed, prompt, T + 2_100);
    next.answered(T + 2_200);
    next.end();
    expect(chosen(now, T + 2_200)).toContain(failed.id);
  });

  it('gets no other request while its trial request hangs', () => {
    const { nodes, snapshot } = newPool(4);
    const [failed, ...others] = nodes as [NodeView, ...NodeView[]];
    failAt(failed, T);
    for (const node of [failed, ...others]) beginAttempt(node, prompt, T + 2_000);
    const later = T + 60_000;
    expect(chosen(snapshot(later), later)).not.toContain(failed.id);
  });

  it('gets its share back step by step', () => {
    const { nodes, snapshot } = newPool(4);
    const [failed] = nodes as [NodeView];
    const now = snapshot(T);
    const share = (nowMs: number) => {
      const keys = Array.from({ length: 2_000 }, (_, key) => choose(now, key, nowMs));
      return keys.filter((id) => id === failed.id).length / keys.length;
    };
    failAt(failed, T);
    const probe = beginAttempt(failed, prompt, T + 2_000);
    probe.answered(T + 2_000);
    probe.end();
    expect(share(T + 2_000)).toBeLessThan(0.08);
    expect(share(T + 4_500)).toBeGreaterThan(0.1);
    expect(share(T + 7_000)).toBeGreaterThan(0.2);
  });

  it('has a closed breaker when the Pool has seen it fail and recover', () => {
    const { nodes, snapshot } = newPool(4);
    const [failed, other] = nodes as [NodeView, NodeView];
    for (const nowMs of [T, T + 2_000, T + 6_000]) failAt(failed, nowMs);
    for (const nowMs of [T, T + 2_000, T + 6_000]) failAt(other, nowMs);
    // Both breakers are open until T + 14,000.
    expect(chosen(snapshot(T + 7_000, { 0: 'silent' }), T + 7_000)).not.toContain(failed.id);
    const back = chosen(snapshot(T + 10_000), T + 10_000);
    expect(back).toContain(failed.id);
    expect(back).not.toContain(other.id);
  });

  it('is chosen when all others were tried, and when more than half of the nodes failed', () => {
    const { nodes, snapshot } = newPool(3);
    const ids = nodes.map(({ id }) => id);
    failAt(nodes[0]!, T);
    const now = snapshot(T);
    expect(chosen(now, T)).toEqual(new Set(ids.slice(1)));
    expect(choose(now, 1, T, ids.slice(1))).toBe(ids[0]);
    expect(choose(now, 1, T, ids)).toBeUndefined();
    failAt(nodes[1]!, T);
    expect(chosen(now, T)).toEqual(new Set(ids));
  });
});

describe('a node whose queue was full', () => {
  it('is avoided until its retry time; the pool is overloaded when no other node is left', () => {
    const { nodes, snapshot } = newPool(2);
    const [full, other] = nodes as [NodeView, NodeView];
    const now = snapshot(T);
    beginAttempt(full, prompt, T).refused(T + 7_000, T);
    expect(chosen(now, T + 6_999)).toEqual(new Set([other.id]));
    expect(overloadWaitMs(now, party, T)).toBeNull();
    beginAttempt(other, prompt, T).refused(T + 4_000, T);
    expect(overloadWaitMs(now, party, T)).toBe(4_000);
    expect(overloadWaitMs(now, party, T + 3_500)).toBe(1_000);
    expect(chosen(now, T + 4_000)).toEqual(new Set([other.id]));
    expect(overloadWaitMs(now, party, T + 4_000)).toBeNull();
    expect(chosen(now, T + 7_000).size).toBe(2);
  });
});

describe('an account’s own failures', () => {
  const [one, two, three] = ['acct_1', 'acct_2', 'acct_3'].map((accountId) => ({
    accountId,
    background: false,
  })) as [typeof party, typeof party, typeof party];
  const batch = (of: typeof party) => ({ ...of, background: true });
  const chosenBy = (by: typeof party, snapshot: PoolSnapshot, nowMs: number) =>
    new Set(
      Array.from({ length: 200 }, (_, key) => {
        const request = { affinity: hash32(`conversation ${key}`), ...prompt, home: null };
        return chooseNode(snapshot, { ...request, tried: new Set<string>(), party: by }, nowMs).node?.id;
      }),
    );
  /** A request of the party meets a failure or, with a time, a queue that is full until then. */
  const meet = (by: typeof party, node: NodeView, nowMs: number, fullUntilMs?: number) => {
    const attempt = beginAttempt(node, { ...prompt, party: by }, nowMs);
    if (fullUntilMs === undefined) attempt.failed(nowMs);
    else attempt.refused(fullUntilMs, nowMs);
    attempt.end();
  };

  it('keep nobody else from the node, until another account’s request fails there', () => {
    const { nodes, snapshot } = newPool(4);
    const [node] = nodes as [NodeView];
    const now = snapshot(T);
    for (let i = 0; i < 100; i++) meet(one, node, T + i);
    expect(chosenBy(one, now, T + 100)).not.toContain(node.id);
    expect(chosenBy(two, now, T + 100)).toContain(node.id);
    meet(two, node, T + 200);
    expect(chosenBy(three, now, T + 200)).not.toContain(node.id);
  });

  it('in a batch keep batches from the node; full queues there say nothing to clients', () => {
    const { nodes, snapshot } = newPool(4);
    const [full, failing] = nodes as [NodeView, NodeView];
    const now = snapshot(T);
    for (const by of [one, two]) meet(batch(by), full, T, T + 5_000);
    expect(chosenBy(batch(one), now, T)).not.toContain(full.id);
    for (const by of [one, two, three]) expect(chosenBy(by, now, T)).toContain(full.id);
    for (const by of [one, two]) meet(batch(by), failing, T);
    expect(chosenBy(three, now, T)).not.toContain(failing.id);
  });

  it('are forgotten when the node came back, and after a while', () => {
    const { nodes, snapshot } = newPool(2);
    const [node] = nodes as [NodeView];
    const fresh = { accountId: 'acct_4', background: false };
    meet(fresh, node, T);
    expect(chosenBy(fresh, snapshot(T), T)).not.toContain(node.id);
    chosenBy(fresh, snapshot(T + 100, { 0: 'silent' }), T + 100);
    expect(chosenBy(fresh, snapshot(T + 200), T + 200)).toContain(node.id);
    expect(hasOwnOutlook(fresh)).toBe(false);
    meet(fresh, node, T + 300);
    // A failure elsewhere, long after, sweeps what is known of all accounts.
    meet(one, newPool(1).nodes[0]!, T + 200_000);
    expect(hasOwnOutlook(fresh)).toBe(false);
  });
});

it('the state of a node that left its pool is dropped when its last request ends', () => {
  const { nodes, snapshot } = newPool(2);
  const [kept, gone] = nodes as [NodeView, NodeView];
  chosen(snapshot(T), T);
  const last = beginAttempt(gone, prompt, T);
  const states = [localStateOf(kept), localStateOf(gone)];
  const without = (atMs: number): PoolSnapshot => ({ atMs, nodes: [kept] });
  chosen(without(T + 1_000), T + 1_000);
  expect(localStateOf(gone)).toBe(states[1]);
  last.end();
  chosen(without(T + 2_000), T + 2_000);
  expect(localStateOf(gone)).not.toBe(states[1]);
  expect(localStateOf(kept)).toBe(states[0]);
});

it('silent nodes are tried when the snapshot is old', () => {
  const { nodes, snapshot } = newPool(2);
  const silent = snapshot(T, { 0: 'silent', 1: 'silent' });
  expect(choose(silent, 1, T + 9_999)).toBeUndefined();
  expect(chosen(silent, T + 10_000)).toEqual(new Set(nodes.map(({ id }) => id)));
});
