/** The Pool's memory of its nodes: who is there, how they are, and what of it survives a restart. */
import { evictDurableObject } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { newId } from '../../worker/domain/ids.ts';
import type { NodeReport, RegisteredNode } from '../../worker/domain/node.ts';
import { auditOf, env, QUIET_LOAD } from './fleet-fixtures.ts';

let pools = 0;

function newPool() {
  pools += 1;
  const modelId = `pool-${pools}`;
  const pool = env.POOL.getByName(modelId);
  const newNode = (change: Partial<RegisteredNode> = {}): RegisteredNode => {
    const id = newId('node', Date.now());
    const url = `https://${id.toLowerCase().replace('_', '-')}.example.com`;
    return { id, name: id, modelId, hardware: '8xh200', url, capacity: 1_000, state: 'active', ...change };
  };
  const beat = (node: RegisteredNode, change: Partial<NodeReport> = {}) =>
    pool.heartbeat(node, { engineHealthy: true, draining: false, inFlight: 0, load: QUIET_LOAD, ...change });
  const healthOf = async ({ id }: RegisteredNode) =>
    (await pool.snapshot()).nodes.find((node) => node.id === id)?.health;
  return { pool, newNode, beat, healthOf };
}

function passTime(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}
afterEach(() => {
  vi.useRealTimers();
});

/** The health changes of a node as the audit log has them, oldest first. */
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
    const snapshot = await pool.snapshot();
    expect(snapshot.nodes).toEqual([view]);
    expect(Math.abs(Date.now() - snapshot.atMs)).toBeLessThan(1_000);
    await beat(node, { inFlight: 1 });
    expect((await pool.snapshot()).nodes).toMatchObject([{ inFlight: 1, load: QUIET_LOAD }]);
  });

  it('takes what changed in the registry', async () => {
    const { pool, newNode, beat } = newPool();
    const node = newNode();
    await beat(node);
    await beat({ ...node, url: 'https://elsewhere.example.com', capacity: 5 });
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
    await vi.waitFor(async () =>
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
    const { pool, newNode, beat, healthOf } = newPool();
    const [node, other] = [newNode(), newNode()];
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    await beat(other);
    // so that the log has an order
    passTime(1);
    await pool.reportFailure(node.id);
    passTime(1_999);
    expect(await beat(node)).toMatchObject({ health: 'ejected' });
    expect(await healthOf(other)).toBe('up');
    passTime(1);
    expect(await healthOf(node)).toBe('up');
    await vi.waitFor(async () =>
      expect(await changes(node)).toEqual([
        'pool: silent → node.up',
        'pool: up → node.ejected',
        'pool: ejected → node.up',
      ]),
    );
  });

  it('is ejected longer for each failure in a row, and echoes of one failure are one', async () => {
    const { pool, newNode, beat, healthOf } = newPool();
    const node = newNode();
    vi.useFakeTimers({ toFake: ['Date'] });
    await beat(node);
    for (const ejectedMs of [2_000, 4_000]) {
      for (let echo = 0; echo < 20; echo++) await pool.reportFailure(node.id);
      passTime(ejectedMs - 1);
      await beat(node);
      expect(await healthOf(node)).toBe('ejected');
      passTime(1);
      expect(await healthOf(node)).toBe('up');
    }
  });

  it('of a node that is not here is nobody’s business', async () => {
    const { pool } = newPool();
    await pool.reportFailure('node_unknown');
    await pool.setState('node_unknown', 'draining');
    expect((await pool.snapshot()).nodes).toEqual([]);
  });

  it('is not written to the log while it stays the same', async () => {
    const { newNode, beat, healthOf } = newPool();
    const node = newNode();
    for (let i = 0; i < 5; i++) await beat(node);
    await healthOf(node);
    await vi.waitFor(async () => expect(await changes(node)).toEqual(['pool: silent → node.up']));
  });

  it('does not depend on the log', async () => {
    const { newNode, beat, healthOf } = newPool();
    const node = newNode();
    const told = vi.spyOn(console, 'error').mockImplementation(() => {});
    await env.DB.exec('ALTER TABLE audit RENAME TO audit_away');
    await beat(node);
    expect(await healthOf(node)).toBe('up');
    await vi.waitFor(() => expect(told).toHaveBeenCalled());
    await env.DB.exec('ALTER TABLE audit_away RENAME TO audit');
    told.mockRestore();
  });
});

describe('a Pool that restarts', () => {
  it('serves with the nodes it had, and gives them seven seconds to call', async () => {
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

  it('still drains what was draining, and has forgotten what was removed', async () => {
    const { pool, newNode, beat } = newPool();
    const [drained, removed] = [newNode(), newNode()];
    await beat(drained);
    await beat(removed);
    await pool.setState(drained.id, 'draining');
    await pool.setState(removed.id, 'removed');
    await evictDurableObject(pool);
    expect((await pool.snapshot()).nodes).toMatchObject([
      { id: drained.id, state: 'draining', draining: true },
    ]);
  });
});

describe('the operator', () => {
  it('drains a node, takes it back, and removes it', async () => {
    const { pool, newNode, beat } = newPool();
    const [node, other] = [newNode(), newNode()];
    await beat(node);
    await beat(other);
    const view = async () => (await pool.snapshot()).nodes.find(({ id }) => id === node.id);
    await pool.setState(node.id, 'draining');
    expect(await view()).toMatchObject({ state: 'draining', draining: true, health: 'up' });
    await pool.setState(node.id, 'active');
    expect(await view()).toMatchObject({ state: 'active', draining: false });
    await pool.setState(node.id, 'removed');
    expect((await pool.snapshot()).nodes.map(({ id }) => id)).toEqual([other.id]);
  });
});

describe('what the operator says', () => {
  it('is not undone by a heartbeat that an isolate knew the node from before', async () => {
    const { pool, newNode, beat } = newPool();
    const node = newNode();
    await beat(node);
    await pool.setState(node.id, 'draining');
    expect(await beat(node)).toMatchObject({ state: 'draining', draining: true });
    passTime(10_001);
    expect(await beat(node)).toMatchObject({ state: 'active', draining: false });
  });

  it('removes a node for good, over a restart too', async () => {
    const { pool, newNode, beat } = newPool();
    const node = newNode();
    await beat(node);
    await pool.setState(node.id, 'removed');
    await beat(node);
    expect((await pool.snapshot()).nodes).toEqual([]);
    await evictDurableObject(pool);
    passTime(60_000);
    await beat(node);
    expect((await pool.snapshot()).nodes).toEqual([]);
  });
});
