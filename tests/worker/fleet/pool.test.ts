/** The Pool: its nodes, their health, what survives a restart, and the snapshots that isolates route by. */
import { evictDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import type { NodeReport, NodeState, RegisteredNode } from '../../../worker/domain/node.ts';
import { decodeSnapshot } from '../../../worker/domain/snapshot-text.ts';
import { waitFor } from '../wait.ts';
import { auditOf, env, QUIET_LOAD } from './fixtures.ts';

let pools = 0;

function newPool() {
  pools += 1;
  const modelId = `pool-${pools}`;
  const pool = env.POOL.getByName(modelId);
  const newNode = (change: Partial<RegisteredNode> = {}): RegisteredNode => {
    const id = newId('node', Date.now());
    const url = `https://${id.toLowerCase().replace('_', '-')}.example.com`;
    const named = { id, name: id, modelId, hardware: '8xh200', url };
    return { ...named, capacity: 1_000, state: 'active', revision: 0, ...change };
  };
  const beat = (node: RegisteredNode, change: Partial<NodeReport> = {}) =>
    pool.heartbeat(node, { engineHealthy: true, draining: false, inFlight: 0, load: QUIET_LOAD, ...change });
  const healthOf = async ({ id }: RegisteredNode) =>
    (await pool.snapshot()).nodes.find((node) => node.id === id)?.health;
  const viewOf = async ({ id }: RegisteredNode) =>
    (await pool.snapshot()).nodes.find((node) => node.id === id)!;
  const failFor = (accountId: string, { id }: { id: string }, startedAgoMs = 0) =>
    pool.reportFailure({ nodeId: id, accountId, startedAgoMs });
  /** Reports that requests of two accounts, which began `startedAgoMs` ago, failed. */
  const fail = async (node: { id: string }, startedAgoMs = 0) => {
    for (const accountId of ['acct_a', 'acct_b']) await failFor(accountId, node, startedAgoMs);
  };
  /** Registers an operator's change of a node, the n-th change of its row. */
  const setState = (node: RegisteredNode, state: NodeState, n = 1) =>
    pool.register({ ...node, state, revision: node.revision + n });
  return { pool, newNode, beat, healthOf, viewOf, fail, failFor, setState };
}

function passTime(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}
/** The agents of all nodes answer, unless a test says otherwise. */
let agent: () => Response | Promise<Response>;
const asked = vi.fn((_: string) => agent());
beforeEach(() => {
  agent = () => Response.json({ ok: true });
  asked.mockClear();
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (url) => asked(String(url)));
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A node's changes of health in the audit log, oldest first. */
async function changes({ id }: RegisteredNode): Promise<string[]> {
  return (await auditOf(id)).map(
    ({ actor, action, detail }) => `${actor}: ${JSON.parse(detail).from} → ${action}`,
  );
}

describe('a heartbeat', () => {
  it('puts the node into the snapshot as it is', async () => {
    const { pool, newNode, beat } = newPool();
    expect((await pool.snapshot()).nodes).toEqual([]);
    const node = newNode();
    const load = { ...QUIET_LOAD, running_requests: 3, used_tokens: 900 };
    const view = await beat(node, { inFlight: 4, load });
    expect(view).toMatchObject({ ...node, health: 'up', draining: false, inFlight: 4, load });
    const beforeMs = Date.now();
    const snapshot = await pool.snapshot();
    expect(snapshot.nodes).toEqual([view]);
    expect(snapshot.atMs).toBeGreaterThanOrEqual(beforeMs);
    expect(snapshot.atMs).toBeLessThanOrEqual(Date.now());
    await beat(node, { inFlight: 1 });
    expect((await pool.snapshot()).nodes).toMatchObject([{ inFlight: 1, load: QUIET_LOAD }]);
  });

  it('brings changes of the node’s row', async () => {
    const { pool, newNode, beat } = newPool();
    const node = newNode();
    await beat(node);
    await beat({ ...node, url: 'https://elsewhere.example.com', capacity: 5, revision: 1 });
    await evictDurableObject(pool);
    expect((await pool.snapshot()).nodes).toMatchObject([
      { id: node.id, url: 'https://elsewhere.example.com', capacity: 5 },
    ]);
  });

  it('of a draining agent drains the node until it says otherwise', async () => {
    const { newNode, beat } = newPool();
    const node = newNode();
    expect(await beat(node, { draining: true })).toMatchObject({ draining: true, health: 'up' });
    expect(await beat(node)).toMatchObject({ draining: false });
  });
});

describe('the health of a node', () => {
  it('is silent after seven seconds without a heartbeat, and up with the next', async () => {
    const { newNode, beat, healthOf } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    passTime(7_000);
    expect(await healthOf(node)).toBe('up');
    passTime(1);
    expect(await healthOf(node)).toBe('silent');
    expect(await healthOf(node)).toBe('silent');
    passTime(1);
    expect(await beat(node)).toMatchObject({ health: 'up' });
    await waitFor(async () =>
      expect(await changes(node)).toEqual([
        'pool: silent → node.up',
        'pool: up → node.silent',
        'pool: silent → node.up',
      ]),
    );
  });

  it('follows its engine', async () => {
    const { newNode, beat, healthOf } = newPool();
    const node = newNode();
    await beat(node);
    await beat(node, { engineHealthy: false });
    expect(await healthOf(node)).toBe('engine_down');
    await beat(node);
    expect(await healthOf(node)).toBe('up');
  });

  it('is ejected by a failure for two seconds, and heartbeats do not shorten that', async () => {
    const { newNode, beat, healthOf, fail } = newPool();
    const [node, other] = [newNode(), newNode()];
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    await beat(other);
    // Another millisecond, so that the log has an order.
    passTime(1);
    await fail(node);
    passTime(1_999);
    expect(await beat(node)).toMatchObject({ health: 'ejected' });
    expect(await healthOf(other)).toBe('up');
    passTime(1);
    expect(await healthOf(node)).toBe('up');
    await waitFor(async () =>
      expect(await changes(node)).toEqual([
        'pool: silent → node.up',
        'pool: up → node.ejected',
        'pool: ejected → node.up',
      ]),
    );
  });

  it('is up however often one account’s requests fail, while its agent answers', async () => {
    const { newNode, beat, healthOf, failFor } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    for (let i = 0; i < 100; i++) {
      await failFor('acct_a', node);
      passTime(20);
    }
    expect(await healthOf(node)).toBe('up');
    expect(asked.mock.calls[0]).toEqual([`${node.url}/healthz`]);
    // Another account's failure long after says nothing about this one.
    passTime(2_000);
    await beat(node);
    passTime(6_100);
    await beat(node);
    passTime(2_000);
    await failFor('acct_b', node);
    expect(await healthOf(node)).toBe('up');
    await failFor('acct_a', node);
    expect(await healthOf(node)).toBe('ejected');
  });

  it.each<[string, () => Response]>([
    [
      'does not answer',
      () => {
        throw new TypeError('connection refused');
      },
    ],
    ['is replaced by another server', () => new Response('<h1>502</h1>', { status: 502 })],
  ])('is ejected by the first failure when its agent %s', async (_, answers) => {
    const { newNode, beat, healthOf, failFor } = newPool();
    const node = newNode();
    await beat(node);
    agent = answers;
    await failFor('acct_a', node);
    expect(await healthOf(node)).toBe('ejected');
  });

  it('is ejected by the first failure when its heartbeat is late', async () => {
    const { newNode, beat, healthOf, failFor } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    passTime(4_000);
    await failFor('acct_a', node);
    expect(await healthOf(node)).toBe('up');
    passTime(1);
    await failFor('acct_a', node);
    expect(await healthOf(node)).toBe('ejected');
  });

  it('asks an agent once a second, and once at a time', async () => {
    const { newNode, beat, failFor } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    const { promise, resolve } = Promise.withResolvers<void>();
    agent = async () => {
      await promise;
      return Response.json({ ok: true });
    };
    const [first, ...others] = Array.from({ length: 20 }, () => failFor('acct_a', node));
    await Promise.all(others);
    resolve();
    await first;
    expect(asked).toHaveBeenCalledOnce();
    passTime(1_000);
    await failFor('acct_a', node);
    expect(asked).toHaveBeenCalledTimes(2);
  });

  it('is ejected longer for each failure in a row, and repeated reports of one failure count once', async () => {
    const { newNode, beat, healthOf, fail } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    for (const ejectedMs of [2_000, 4_000]) {
      for (let echo = 0; echo < 20; echo++) await fail(node);
      passTime(ejectedMs - 1);
      await beat(node);
      expect(await healthOf(node)).toBe('ejected');
      passTime(1);
      expect(await healthOf(node)).toBe('up');
      // The failed request had begun before the ejection, so it is no new failure.
      await fail(node, ejectedMs + 1);
      expect(await healthOf(node)).toBe('up');
    }
  });

  it('gives a node a growing share after a failure, and the full share after seven seconds', async () => {
    const { newNode, beat, viewOf, fail } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    expect(await viewOf(node)).toMatchObject({ health: 'up', share: 1 });
    await fail(node);
    passTime(2_000);
    expect(await viewOf(node)).toMatchObject({ health: 'up', share: 0.1 });
    passTime(2_500);
    expect(await viewOf(node)).toMatchObject({ health: 'up', share: 0.6 });
    passTime(2_500);
    expect(await viewOf(node)).toMatchObject({ health: 'up', share: 1 });
  });

  it.each([
    ['was silent', async (_: () => unknown) => passTime(20_000)],
    ['was without its engine', async (loseEngine: () => unknown) => void (await loseEngine())],
  ])(
    'gives a node that %s its full share five seconds after its first return',
    async (_, makeUnreachable) => {
      const { newNode, beat, viewOf, fail } = newPool();
      const node = newNode();
      vi.useFakeTimers({ toFake: ['Date'] });
      await beat(node);
      for (const ejectedMs of [2_000, 4_000]) {
        await fail(node);
        passTime(ejectedMs);
        await beat(node);
      }
      await fail(node);
      await makeUnreachable(() => beat(node, { engineHealthy: false }));
      expect(await beat(node)).toMatchObject({ health: 'up', share: 0.1 });
      passTime(5_000);
      expect(await viewOf(node)).toMatchObject({ health: 'up', share: 1 });
    },
  );

  it('ejects a node that comes and goes for longer each time, and does not flood the log', async () => {
    const { newNode, beat, viewOf } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    passTime(8_000);
    expect((await beat(node)).health).toBe('up');
    for (const waitMs of [2_000, 4_000]) {
      passTime(8_000);
      expect((await beat(node)).health).toBe('ejected');
      passTime(waitMs - 1);
      expect((await viewOf(node)).health).toBe('ejected');
      passTime(1);
      expect((await viewOf(node)).health).toBe('up');
    }
    // Ten rows at once, then one a minute.
    for (let i = 0; i < 50; i++) {
      await beat(node, { engineHealthy: false });
      await beat(node);
    }
    await waitFor(async () => expect(await changes(node)).toHaveLength(10));
    passTime(120_000);
    await viewOf(node);
    await waitFor(async () => {
      const lines = await auditOf(node.id);
      expect(lines).toHaveLength(11);
      expect(JSON.parse(lines.at(-1)!.detail).unlogged).toBeGreaterThan(90);
    });
  });

  it('ignores nodes that are not in this Pool', async () => {
    const { pool, newNode, fail, setState } = newPool();
    await fail({ id: 'node_unknown' });
    await setState(newNode(), 'draining');
    expect((await pool.snapshot()).nodes).toEqual([]);
  });

  it('is not written to the log while it stays the same', async () => {
    const { newNode, beat, healthOf } = newPool();
    const node = newNode();
    for (let i = 0; i < 5; i++) await beat(node);
    await healthOf(node);
    await waitFor(async () => expect(await changes(node)).toEqual(['pool: silent → node.up']));
  });

  it('does not depend on the audit log', async () => {
    const { newNode, beat, healthOf } = newPool();
    const node = newNode();
    const logged = vi.spyOn(console, 'error').mockImplementation(() => {});
    await env.DB.exec('ALTER TABLE audit RENAME TO audit_away');
    await beat(node);
    expect(await healthOf(node)).toBe('up');
    await waitFor(() => expect(logged).toHaveBeenCalled());
    await env.DB.exec('ALTER TABLE audit_away RENAME TO audit');
    logged.mockRestore();
  });
});

describe('a Pool that restarts', () => {
  it('serves with the nodes it had, and gives them seven seconds for a heartbeat', async () => {
    const { pool, newNode, beat, healthOf } = newPool();
    const [alive, dead] = [newNode(), newNode()];
    await beat(alive);
    await beat(dead);
    await evictDurableObject(pool);
    expect((await pool.snapshot()).nodes.map(({ id, health }) => [id, health]).sort()).toEqual(
      [
        [alive.id, 'up'],
        [dead.id, 'up'],
      ].sort(),
    );
    passTime(5_000);
    await beat(alive);
    passTime(2_500);
    expect(await healthOf(alive)).toBe('up');
    expect(await healthOf(dead)).toBe('silent');
  });

  it('starts no node slowly, because the nodes did not restart', async () => {
    const { pool, newNode, beat, viewOf } = newPool();
    const node = newNode();
    await beat(node);
    await evictDurableObject(pool);
    expect(await viewOf(node)).toMatchObject({ health: 'up', share: 1 });
    expect(await beat(node)).toMatchObject({ health: 'up', share: 1 });
  });

  it('keeps drained nodes draining and removed nodes removed', async () => {
    const { pool, newNode, beat, setState } = newPool();
    const [drained, removed] = [newNode(), newNode()];
    await beat(drained);
    await beat(removed);
    await setState(drained, 'draining');
    await setState(removed, 'removed');
    await evictDurableObject(pool);
    expect((await pool.snapshot()).nodes).toMatchObject([
      { id: drained.id, state: 'draining', draining: true },
    ]);
  });
});

describe('the operator', () => {
  it('drains a node, restores it, and removes it', async () => {
    const { pool, newNode, beat, setState } = newPool();
    const [node, other] = [newNode(), newNode()];
    await beat(node);
    await beat(other);
    const view = async () => (await pool.snapshot()).nodes.find(({ id }) => id === node.id);
    await setState(node, 'draining');
    expect(await view()).toMatchObject({ state: 'draining', draining: true, health: 'up' });
    await setState(node, 'active', 2);
    expect(await view()).toMatchObject({ state: 'active', draining: false, share: 0.1 });
    await setState(node, 'removed', 3);
    expect((await pool.snapshot()).nodes.map(({ id }) => id)).toEqual([other.id]);
  });
});

describe('an operator’s change', () => {
  it('is not undone by a heartbeat with an older row, nor by a restart', async () => {
    const { pool, newNode, beat, setState } = newPool();
    const node = newNode();
    await beat(node);
    await setState(node, 'draining');
    expect(await beat(node)).toMatchObject({ state: 'draining', draining: true });
    await evictDurableObject(pool);
    expect(await beat(node)).toMatchObject({ state: 'draining', draining: true });
    expect(await beat({ ...node, revision: 2 })).toMatchObject({ state: 'active', draining: false });
  });

  it('counts by its revision, not by when it arrives', async () => {
    const { newNode, beat, setState } = newPool();
    const node = newNode();
    await beat(node);
    await setState(node, 'quarantined', 2);
    await setState(node, 'draining', 1);
    expect(await beat(node)).toMatchObject({ state: 'quarantined' });
  });

  it('that removes a node is final, also after a restart', async () => {
    const { pool, newNode, beat, setState } = newPool();
    const node = newNode();
    await beat(node);
    await setState(node, 'removed');
    await beat(node);
    expect((await pool.snapshot()).nodes).toEqual([]);
    await evictDurableObject(pool);
    await beat(node);
    expect((await pool.snapshot()).nodes).toEqual([]);
  });
});

describe('the snapshot text for isolates', () => {
  it('is the snapshot, encoded at most four times a second', async () => {
    const { pool, newNode, beat } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    const first = decodeSnapshot(await pool.snapshotText());
    expect(first).toEqual(await pool.snapshot());
    for (let ms = 0; ms < 249; ms += 83) {
      await beat(node, { inFlight: ms + 1 });
      expect(decodeSnapshot(await pool.snapshotText())).toEqual(first);
      passTime(83);
    }
    passTime(1);
    const second = decodeSnapshot(await pool.snapshotText());
    expect(second).toEqual(await pool.snapshot());
    expect(second.nodes[0]!.inFlight).toBe(167);
  });

  it.each([
    ['a failure', ({ node, fail }: NodeCalls) => fail(node), { health: 'ejected' }],
    ['the operator', ({ node, setState }: NodeCalls) => setState(node, 'draining'), { draining: true }],
    [
      'an engine that died',
      ({ node, beat }: NodeCalls) => beat(node, { engineHealthy: false }),
      { health: 'engine_down' },
    ],
    [
      'an agent that drains',
      ({ node, beat }: NodeCalls) => beat(node, { draining: true }),
      { draining: true },
    ],
    [
      'a newer row',
      ({ node, beat }: NodeCalls) => beat({ ...node, url: 'https://moved.example.com', revision: 1 }),
      { url: 'https://moved.example.com' },
    ],
  ])('shows within 50 ms a change by %s', async (_, change, expected) => {
    const { pool, newNode, beat, fail, setState } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    passTime(10_000);
    await beat(node);
    passTime(6_000);
    const [before] = decodeSnapshot(await pool.snapshotText()).nodes;
    await change({ node, beat, fail, setState });
    passTime(49);
    expect(decodeSnapshot(await pool.snapshotText()).nodes).toEqual([before]);
    passTime(1);
    expect(decodeSnapshot(await pool.snapshotText()).nodes[0]).toMatchObject(expected);
    expect(before).not.toMatchObject(expected);
  });
});

interface NodeCalls {
  readonly node: RegisteredNode;
  readonly beat: ReturnType<typeof newPool>['beat'];
  readonly fail: ReturnType<typeof newPool>['fail'];
  readonly setState: ReturnType<typeof newPool>['setState'];
}
