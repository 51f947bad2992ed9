/** Pulses: who may open one, what it shows the Pool, and for how long it stands for heartbeats. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { HEARTBEAT_CALL, PULSE, PULSE_ANSWER, PULSE_PATH } from '../../../gpu-pool/protocol/constants.ts';
import type { HeartbeatReply } from '../../../gpu-pool/protocol/schemas.ts';
import type { NodeState, NodeView } from '../../../worker/domain/node.ts';
import type { Env } from '../../../worker/env.ts';
import { changeNode } from '../../../worker/fleet/nodes.ts';
import { waitFor } from '../wait.ts';
import {
  enrolledNode,
  env,
  heartbeat,
  nodeToken,
  QUIET_LOAD,
  R1,
  R1_PATH,
  sendHeartbeat,
  server,
  type TestNode,
} from './fixtures.ts';

type Enrolled = TestNode & { id: string };

afterEach(() => {
  vi.useRealTimers();
});

async function ask(node: Enrolled, headers: Record<string, string> = {}, issuer = node.id) {
  const authorization = `Bearer ${await nodeToken(node, issuer)}`;
  const all = { upgrade: 'websocket', authorization, ...headers };
  return server.request(PULSE_PATH, { headers: all }, env);
}

/** A pulse with all that came on it. */
async function pulseOf(node: Enrolled) {
  const { status, webSocket } = await ask(node);
  expect(status).toBe(101);
  const heard: unknown[] = [];
  let closedBy: number | null = null;
  webSocket!.accept();
  webSocket!.addEventListener('message', ({ data }) => {
    heard.push(data);
  });
  webSocket!.addEventListener('close', ({ code }) => {
    closedBy = code;
  });
  const beat = async () => {
    const before = heard.length;
    webSocket!.send(PULSE);
    await waitFor(async () => expect(heard.slice(before)).toContain(PULSE_ANSWER));
  };
  return { socket: webSocket!, heard, beat, closedBy: () => closedBy };
}

async function viewOf({ id }: Enrolled): Promise<NodeView> {
  return (await env.POOL.getByName(R1).snapshot()).nodes.find((node) => node.id === id)!;
}

/** A node whose last heartbeat came so long ago, and has shown nothing since. */
async function silentFor(ms: number): Promise<Enrolled> {
  const node = await enrolledNode();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - ms });
  await sendHeartbeat(node, heartbeat());
  vi.useRealTimers();
  return node;
}

describe('a pulse', () => {
  it('is opened by the node itself, once the Pool knows it', async () => {
    const [node, other] = [await enrolledNode(), await enrolledNode()];
    expect((await ask(node, { authorization: '' })).status).toBe(401);
    expect((await ask(other, {}, node.id)).status).toBe(401);
    expect((await ask(node, { upgrade: '' })).status).toBe(426);
    expect((await ask(node)).status).toBe(409);
    await sendHeartbeat(node, heartbeat());
    await pulseOf(node);
    await changeNode(env, { nodeId: node.id, action: 'remove', actor: 'test', nowMs: Date.now() });
    expect((await ask(node)).status).toBe(409);
  });

  it('shows that its node is there, and no other', async () => {
    const [node, other] = [await silentFor(8_000), await silentFor(8_000)];
    const { beat } = await pulseOf(node);
    await beat();
    expect((await viewOf(node)).health).toBe('up');
    expect((await viewOf(other)).health).toBe('silent');
  });

  it('leaves a node silent seven seconds after its last sign of life', async () => {
    const node = await silentFor(8_000);
    const { beat } = await pulseOf(node);
    await beat();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 6_500 });
    expect((await viewOf(node)).health).toBe('up');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 600 });
    expect((await viewOf(node)).health).toBe('silent');
  });

  it('counts for a minute and a half after the last signed heartbeat, whoever holds the socket', async () => {
    const [node, old] = [await silentFor(85_000), await silentFor(100_000)];
    for (const each of [node, old]) await (await pulseOf(each)).beat();
    expect((await viewOf(node)).health).toBe('up');
    expect((await viewOf(old)).health).toBe('silent');
  });

  it('brings the load, and is closed for anything else', async () => {
    const node = await enrolledNode();
    await sendHeartbeat(node, heartbeat());
    const { socket, closedBy } = await pulseOf(node);
    const load = { ...QUIET_LOAD, running_requests: 9, used_tokens: 900 };
    socket.send(JSON.stringify({ load, in_flight: 7 }));
    await waitFor(async () => expect(await viewOf(node)).toMatchObject({ load, inFlight: 7, health: 'up' }));
    socket.send(JSON.stringify({ load: { ...load, running_requests: -1 }, in_flight: 7 }));
    await waitFor(async () => expect(closedBy()).toBe(1007));
    expect(await viewOf(node)).toMatchObject({ load });
  });

  it('takes the place of the one before', async () => {
    const node = await enrolledNode();
    await sendHeartbeat(node, heartbeat());
    const first = await pulseOf(node);
    const second = await pulseOf(node);
    await waitFor(async () => expect(first.closedBy()).toBe(1000));
    await second.beat();
  });

  it('calls for a heartbeat when the node’s row changes', async () => {
    const node = await enrolledNode();
    await sendHeartbeat(node, heartbeat());
    const { heard } = await pulseOf(node);
    await changeNode(env, { nodeId: node.id, action: 'drain', actor: 'test', nowMs: Date.now() });
    await waitFor(async () => expect(heard).toEqual([HEARTBEAT_CALL]));
  });
});

describe('the reply to a heartbeat', () => {
  const reply = async (node: Enrolled, using = env) =>
    (await sendHeartbeat(node, heartbeat(), using)).json<HeartbeatReply>();

  it.each<[NodeState, true | undefined]>([
    ['active', true],
    ['canary', undefined],
    ['draining', undefined],
    ['quarantined', undefined],
  ])('to a node in the state %s: pulse %s', async (state, pulse) => {
    expect((await reply(await enrolledNode(R1, R1_PATH, state))).pulse).toBe(pulse);
  });

  it('allows no pulse while the Pool is down', async () => {
    const pool = { heartbeat: () => Promise.reject(new Error('this Pool is down')) };
    const using = { ...env, POOL: { getByName: () => pool } as unknown as Env['POOL'] };
    expect(await reply(await enrolledNode(), using)).toEqual({
      directive: 'serve',
      acknowledged: [],
      sold: expect.anything(),
    });
  });

  it('follows the Pool’s row where this isolate’s copy is older', async () => {
    const node = await enrolledNode();
    await reply(node);
    const pool = { heartbeat: async () => ({ state: 'draining', revision: 99 }) };
    const using = { ...env, POOL: { getByName: () => pool } as unknown as Env['POOL'] };
    expect(await reply(node, using)).toMatchObject({ directive: 'drain' });
  });
});
