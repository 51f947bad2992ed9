/** Heartbeats: who may send one, and what it does to the Pool, the node's row and the Wallets. */
import { describe, expect, it } from 'vitest';
import { HEARTBEAT_PATH, type HeartbeatReply } from '../../../gpu-pool/protocol/schemas.ts';
import { newId } from '../../../worker/domain/ids.ts';
import type { NodeAction, NodeReport, PoolApi, RegisteredNode } from '../../../worker/domain/node.ts';
import type { Env } from '../../../worker/env.ts';
import { changeNode } from '../../../worker/fleet/nodes.ts';
import {
  auditOf,
  enrolledNode,
  env,
  heartbeat,
  newAccount,
  newTestNode,
  nodeToken,
  postJson,
  QUIET_LOAD,
  R1,
  receipt,
  sendHeartbeat,
  withBrokenWallets,
  withRecordedWallets,
} from './fixtures.ts';

async function replyOf(response: Response): Promise<HeartbeatReply> {
  expect(response.status).toBe(200);
  return response.json<HeartbeatReply>();
}

function operate(nodeId: string, action: NodeAction) {
  return changeNode(env, { nodeId, action, actor: 'test', nowMs: Date.now() });
}

/** The real environment, except that the Pool only records the heartbeats it gets. */
function withRecordingPool(): { using: Env; heartbeats: { node: RegisteredNode; report: NodeReport }[] } {
  const heartbeats: { node: RegisteredNode; report: NodeReport }[] = [];
  const pool: Pick<PoolApi, 'heartbeat'> = {
    async heartbeat(node, report) {
      heartbeats.push({ node, report });
      const health = { health: 'up', share: 1, weight: 1, lastHeartbeatMs: 0 } as const;
      return { ...node, ...health, draining: false, inFlight: 0, load: report.load };
    },
  };
  return { using: { ...env, POOL: { getByName: () => pool } as unknown as Env['POOL'] }, heartbeats };
}

describe('a heartbeat may come from', () => {
  it('the node itself', async () => {
    const node = await enrolledNode();
    expect(await replyOf(await sendHeartbeat(node, heartbeat()))).toMatchObject({
      directive: 'serve',
      acknowledged: [],
    });
    const snapshot = await env.POOL.getByName(R1).snapshot();
    expect(snapshot.nodes.find((each) => each.id === node.id)).toMatchObject({
      health: 'up',
      state: 'active',
    });
  });

  it('no caller without a token, with an expired one, or with one for another audience', async () => {
    const node = await enrolledNode();
    const tokens = [
      await nodeToken(node, node.id, { expiresInS: -120 }),
      await nodeToken(node, node.id, { audience: 'tollgate-join' }),
      'x.y.z',
      'eyJhbGciOiJub25lIn0.e30.',
    ];
    const headers = [{}, ...tokens.map((token) => ({ authorization: `Bearer ${token}` }))];
    for (const header of headers as Record<string, string>[]) {
      expect((await postJson(HEARTBEAT_PATH, heartbeat(), header)).status).toBe(401);
    }
  });

  it('no node under the name of another', async () => {
    const [victim, rogue] = [await enrolledNode(), await enrolledNode()];
    const token = await nodeToken(rogue, victim.id);
    const response = await postJson(HEARTBEAT_PATH, heartbeat(), { authorization: `Bearer ${token}` });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { code: 'node_token_invalid', param: null } });
  });

  it('no node that never enrolled', async () => {
    const stranger = await newTestNode();
    for (const id of [newId('node', Date.now()), "node_' or 1=1 --", '']) {
      const token = await nodeToken(stranger, id);
      const response = await postJson(HEARTBEAT_PATH, heartbeat(), { authorization: `Bearer ${token}` });
      expect(response.status).toBe(401);
    }
  });
});

describe('a heartbeat', () => {
  it('reports the node’s row and load to the Pool', async () => {
    const node = await enrolledNode();
    const { using, heartbeats } = withRecordingPool();
    const load = { ...QUIET_LOAD, running_requests: 3 };
    await sendHeartbeat(node, heartbeat({ load, in_flight: 2, draining: true }), using);
    expect(heartbeats).toEqual([
      {
        node: {
          id: node.id,
          name: 'gpu-1',
          modelId: R1,
          hardware: '8xmi300x',
          url: 'https://gpu-1.example.com:8443',
          capacity: 1_730,
          state: 'active',
          // It was changed once after enrolment: its canary passed.
          revision: 1,
        },
        report: { engineHealthy: true, draining: true, inFlight: 2, load },
      },
    ]);
  });

  it('counts an engine with other weights as down', async () => {
    const node = await enrolledNode();
    const { using, heartbeats } = withRecordingPool();
    const engine = { ...heartbeat().engine, model_path: 'deepseek-ai/DeepSeek-V3-0324' };
    await sendHeartbeat(node, heartbeat({ engine }), using);
    expect(heartbeats[0]!.report.engineHealthy).toBe(false);
  });

  it('tells a draining or quarantined node to drain, a restored one to serve, and a removed one to stop', async () => {
    const node = await enrolledNode();
    await sendHeartbeat(node, heartbeat());
    for (const [action, state, directive] of [
      ['drain', 'draining', 'drain'],
      ['restore', 'active', 'serve'],
      ['quarantine', 'quarantined', 'drain'],
      ['restore', 'canary', 'serve'],
      ['remove', 'removed', 'removed'],
    ] as const) {
      expect(await operate(node.id, action)).toBe(state);
      expect((await replyOf(await sendHeartbeat(node, heartbeat()))).directive).toBe(directive);
    }
  });

  it('is not needed for a drain: the Pool knows at once', async () => {
    const node = await enrolledNode();
    await sendHeartbeat(node, heartbeat());
    await operate(node.id, 'drain');
    const { nodes } = await env.POOL.getByName(R1).snapshot();
    expect(nodes.find((each) => each.id === node.id)).toMatchObject({ state: 'draining' });
  });

  it('of a removed node changes nothing', async () => {
    const node = await enrolledNode();
    await operate(node.id, 'remove');
    const { using, reached } = withRecordedWallets();
    const body = heartbeat({ receipts: [receipt(1, await newAccount())] });
    expect(await replyOf(await sendHeartbeat(node, body, using))).toEqual({
      directive: 'removed',
      acknowledged: [],
    });
    expect(reached).toEqual([]);
  });

  it('writes versions to D1 once, when they change', async () => {
    const node = await enrolledNode();
    const engine = { ...heartbeat().engine, version: '0.5.21', weight_version: 'v2' };
    await sendHeartbeat(node, heartbeat({ engine }));
    await sendHeartbeat(node, heartbeat({ engine }));
    const row = await env.DB.prepare('select engine_version, weight_version from node where id = ?')
      .bind(node.id)
      .first();
    expect(row).toEqual({ engine_version: '0.5.21', weight_version: 'v2' });
    const actions = (await auditOf(node.id)).map((entry) => entry.action);
    expect(actions.filter((action) => action === 'node.engine_changed')).toHaveLength(1);
  });

  it.each([
    ['no JSON at all', 'nonsense'],
    ['a field that is missing', { ...heartbeat(), load: undefined }],
    ['a count below zero', heartbeat({ load: { ...QUIET_LOAD, running_requests: -1 } })],
    [
      'more reasoning than completion',
      heartbeat({
        receipts: [
          receipt(1, 'acct_x', {
            usage: { prompt_tokens: 1, cached_tokens: 0, completion_tokens: 1, reasoning_tokens: 2 },
          }),
        ],
      }),
    ],
    [
      'too many receipts',
      heartbeat({ receipts: Array.from({ length: 201 }, (_, seq) => receipt(seq, 'acct_x')) }),
    ],
  ])('refuses %s', async (_, body) => {
    const response = await sendHeartbeat(await enrolledNode(), body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'body_invalid' } });
  });

  it('refuses a body above 1 MiB before reading it as JSON', async () => {
    const body = heartbeat({ agent_version: 'x'.repeat(1024 * 1024) });
    expect((await sendHeartbeat(await enrolledNode(), body)).status).toBe(413);
  });
});

describe('receipts', () => {
  it('reach the Wallet of their account, under the id of the node that signed', async () => {
    const node = await enrolledNode();
    const accountId = await newAccount();
    const calls: unknown[] = [];
    const wallet = {
      reconcile: async (receipts: unknown) => {
        calls.push(receipts);
        return [];
      },
    };
    const using = { ...env, WALLET: { getByName: () => wallet } as unknown as Env['WALLET'] };
    const own = receipt(7, accountId, { outcome: 'lost', ttft_ms: null });
    expect(
      (await replyOf(await sendHeartbeat(node, heartbeat({ receipts: [own] }), using))).acknowledged,
    ).toEqual([7]);
    expect(calls).toEqual([
      [
        {
          requestId: own.request_id,
          nodeId: node.id,
          outcome: 'lost',
          usage: { promptTokens: 10, cachedTokens: 0, completionTokens: 20, reasoningTokens: 5 },
          ttftMs: null,
          ticket: null,
        },
      ],
    ]);
  });

  it('are acknowledged by the real Wallet, and again when they are sent again', async () => {
    const node = await enrolledNode();
    const accountId = await newAccount();
    const body = heartbeat({ receipts: [receipt(1, accountId), receipt(2, accountId)] });
    expect((await replyOf(await sendHeartbeat(node, body))).acknowledged).toEqual([1, 2]);
    expect((await replyOf(await sendHeartbeat(node, body))).acknowledged).toEqual([1, 2]);
  });

  it('of a failing account stay in the node’s journal; the others may leave it', async () => {
    const node = await enrolledNode();
    const [good, broken] = [await newAccount(), await newAccount()];
    const receipts = [receipt(1, good), receipt(2, broken), receipt(3, good), receipt(4, broken)];
    const reply = await replyOf(
      await sendHeartbeat(node, heartbeat({ receipts }), withBrokenWallets([broken])),
    );
    expect(reply).toMatchObject({ directive: 'serve', acknowledged: [1, 3] });
    expect((await replyOf(await sendHeartbeat(node, heartbeat({ receipts })))).acknowledged.sort()).toEqual([
      1, 2, 3, 4,
    ]);
  });

  it('are taken while the Pool is down, too', async () => {
    const node = await enrolledNode();
    const pool = { heartbeat: () => Promise.reject(new Error('this Pool is down')) };
    const using = { ...env, POOL: { getByName: () => pool } as unknown as Env['POOL'] };
    const body = heartbeat({ receipts: [receipt(5, await newAccount())] });
    expect((await replyOf(await sendHeartbeat(node, body, using))).acknowledged).toEqual([5]);
  });

  it('that name no account, no request or another model reach no Wallet and are audited', async () => {
    const node = await enrolledNode();
    const accountId = await newAccount();
    const stranger = newId('acct', Date.now());
    const { using, reached } = withRecordedWallets();
    const receipts = [
      receipt(1, 'not-an-account'),
      receipt(2, stranger),
      receipt(3, accountId, { model: 'deepseek-v3-0324' }),
      receipt(4, accountId, { request_id: 'x' }),
      receipt(5, accountId),
    ];
    const reply = await replyOf(await sendHeartbeat(node, heartbeat({ receipts }), using));
    expect(reply.acknowledged.sort()).toEqual([1, 2, 3, 4, 5]);
    expect(reached).toEqual([accountId]);
    const refused = (await auditOf(node.id)).find((entry) => entry.action === 'receipts.refused');
    expect(JSON.parse(refused!.detail)).toEqual({
      malformed_id: 2,
      other_model: 1,
      unknown_account: 1,
      first_seq: 1,
    });
  });
});
