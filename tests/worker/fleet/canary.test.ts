/**
 * Canary attempts: the requests to a new node, the answers it must give, and the receipt that must agree, before it gets
 * customers.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { HeartbeatReply, NodeChunk, Receipt } from '../../../gpu-pool/protocol/schemas.ts';
import { canaryStanding, latestCanaryAttempts, passCanaryAttempt } from '../../../worker/db/canary.ts';
import { database } from '../../../worker/db/client.ts';
import { changeEngine, changeNodeState } from '../../../worker/db/nodes.ts';
import { CANARY_REQUEST, OPEN_MS_MAX, parseCanaryId } from '../../../worker/domain/canary.ts';
import { newId } from '../../../worker/domain/ids.ts';
import type { NodeAction, NodeState } from '../../../worker/domain/node.ts';
import type { Task } from '../../../worker/domain/task.ts';
import type { Env } from '../../../worker/env.ts';
import { runCanary } from '../../../worker/fleet/canary.ts';
import { orderCanary } from '../../../worker/fleet/canary-order.ts';
import { changeNode } from '../../../worker/fleet/nodes.ts';
import { en } from '../../../worker/i18n/en/index.ts';
import { fr } from '../../../worker/i18n/fr/index.ts';
import { queue } from '../../../worker/queue.ts';
import {
  answer,
  DONE,
  type FakeNode,
  freshNetwork,
  nodeError,
  type Script,
  stream,
  textChunk,
  usageOf,
} from '../fake-node.ts';
import { Browser } from '../portal/browser.ts';
import { operatorBrowser, operatorGet, textOf } from '../portal/operator/console.ts';
import { waitFor } from '../wait.ts';
import {
  auditOf,
  env,
  heartbeat,
  newTestNode,
  R1,
  receipt,
  sendHeartbeat,
  type TestNode,
  withRecordedWallets,
} from './fixtures.ts';

const network = freshNetwork();
const db = database(env);
const { canary } = en.pool;
afterEach(() => {
  vi.useRealTimers();
});

/** A registered node with its keys and its fake agent. */
type CanaryNode = TestNode & { readonly id: string; readonly fake: FakeNode };

const BIRD = '{"species": "canary", "sings": true}';

/** A sound node's answers to the tasks. */
const soundTask: Script = ({ request }) => {
  if (request.tools === undefined) return stream(answer({ prompt: 60, reasoning: ['Hm.'], content: [BIRD] }));
  const called = { index: 0, id: 'call_1', type: 'function' as const };
  return stream([
    textChunk('', usageOf(90, 1)),
    {
      choices: [
        {
          index: 0,
          delta: { tool_calls: [{ ...called, function: { name: 'report_bird', arguments: BIRD } }] },
          finish_reason: null,
        },
      ],
      usage: usageOf(90, 9),
    },
    { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }], usage: usageOf(90, 9) },
    DONE,
  ]);
};

const isTask = ({ request }: Parameters<Script>[0]) =>
  request.tools !== undefined || request.response_format !== undefined;

/** The answers of a sound node: the second prompt, equal to the first, comes mostly from its prefix cache. */
const sound: Script = (received) => {
  if (isTask(received)) return soundTask(received);
  const { claims } = received;
  return stream(
    answer({
      prompt: 250,
      cached: parseCanaryId(claims.jti)?.isSecond ? 192 : 0,
      reasoning: ['Hm, ', 'birds.'],
      content: ['They ', 'sing.'],
    }),
  );
};
const USAGE = { prompt_tokens: 250, cached_tokens: 192, completion_tokens: 4, reasoning_tokens: 2 };

/** A node on the network, registered in this state and known to its Pool. */
async function canaryNode(script: Script = sound, state: NodeState = 'canary'): Promise<CanaryNode> {
  const keys = await newTestNode();
  const fake = await network().add(R1, script);
  await env.DB.prepare(
    `insert into node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, state, enrolled_at_ms, revision)
     values (?, 'trial', ?, '8xh200', ?, ?, 1000, '0.5.20', 'default', ?, 1, 1)`,
  )
    .bind(fake.id, R1, fake.registered.url, keys.publicX, state)
    .run();
  return { ...keys, id: fake.id, fake };
}

/** The real environment, with a queue that only collects its tasks. */
function withTasks(using: Env = env): { using: Env; tasks: Task[] } {
  const tasks: Task[] = [];
  const send = async (task: Task) => void tasks.push(task);
  return { using: { ...using, TASKS: { send } as unknown as Env['TASKS'] }, tasks };
}

const { using: withoutQueue } = withTasks();

async function replyOf(
  node: CanaryNode,
  change: Parameters<typeof heartbeat>[0] = {},
  using: Env = withoutQueue,
) {
  return (await sendHeartbeat(node, heartbeat(change), using)).json<HeartbeatReply>();
}

/** The node's receipt for the second request of its latest attempt; with `second: false`, for the first. */
function receiptOf(node: CanaryNode, change: Partial<Receipt> & { second?: boolean } = {}): Receipt {
  const { second = true, ...changed } = change;
  const { claims } = node.fake.received.findLast(
    (received) => !isTask(received) && parseCanaryId(received.claims.jti)?.isSecond === second,
  )!;
  return receipt(second ? 2 : 1, claims.sub, { request_id: claims.jti, usage: USAGE, ...changed });
}

async function stateOf({ id }: CanaryNode): Promise<string> {
  return (await env.DB.prepare('select state from node where id = ?').bind(id).first<string>('state'))!;
}

async function stateInPool({ id }: CanaryNode) {
  const { nodes } = await env.POOL.getByName(R1).snapshot();
  return nodes.find((node) => node.id === id)?.state;
}

async function lastAttempt({ id }: CanaryNode) {
  return (await latestCanaryAttempts(db, Date.now())).get(id) ?? null;
}

async function actionsOf({ id }: CanaryNode): Promise<string[]> {
  return (await auditOf(id))
    .map(({ action }) => action)
    .filter((action) => !['node.up', 'node.silent'].includes(action));
}

function operate({ id: nodeId }: CanaryNode, action: NodeAction) {
  return changeNode(env, { nodeId, action, actor: 'test', nowMs: Date.now() });
}

/** Runs the canary task of a node. */
const attempt = (node: CanaryNode, nowMs = Date.now()) => runCanary(env, node.id, nowMs);

describe('a node that has enrolled', () => {
  it('is told to serve, and its first heartbeat orders one canary attempt', async () => {
    const node = await canaryNode();
    const { using, tasks } = withTasks();
    expect((await replyOf(node, {}, using)).directive).toBe('serve');
    expect((await replyOf(node, {}, using)).directive).toBe('serve');
    expect(tasks).toEqual([{ kind: 'canary', nodeId: node.id }]);
    expect(await stateInPool(node)).toBe('canary');
  });

  it('gets no attempt while it cannot answer, or in another state', async () => {
    const node = await canaryNode();
    const { using, tasks } = withTasks();
    const engine = heartbeat().engine;
    await replyOf(node, { draining: true }, using);
    await replyOf(node, { engine: { ...engine, healthy: false } }, using);
    await replyOf(node, { engine: { ...engine, model_path: 'deepseek-ai/DeepSeek-V3-0324' } }, using);
    for (const state of ['active', 'draining', 'quarantined', 'removed'] as const)
      await replyOf(await canaryNode(sound, state), {}, using);
    expect(tasks).toEqual([]);
  });

  it('gets attempts by the record in D1: none while one is open, nor too soon after a failed one', async () => {
    const node = await canaryNode(() => nodeError(503, 'overloaded'));
    const nowMs = Date.now();
    const ordered = async (atMs: number) => {
      const { using, tasks } = withTasks();
      const report = { engineHealthy: true, draining: false };
      await orderCanary(using, { id: node.id, state: 'canary' }, report, atMs);
      return tasks.length;
    };
    await attempt(node, nowMs);
    expect(await ordered(nowMs + 14_999)).toBe(0);
    expect(await ordered(nowMs + 15_000)).toBe(1);
    await attempt(node, nowMs + 15_000);
    // The second wait is twice as long.
    expect(await ordered(nowMs + 44_999)).toBe(0);
    expect(await ordered(nowMs + 45_000)).toBe(1);
    node.fake.script = sound;
    await attempt(node, nowMs + 45_000);
    expect(await ordered(nowMs + 100_000)).toBe(0);
    // The receipt never came. Once that is recorded, the next attempt is due.
    const lateMs = nowMs + 45_000 + OPEN_MS_MAX + 1;
    expect(await ordered(lateMs)).toBe(0);
    expect(await lastAttempt(node)).toMatchObject({ fault: 'receipt_missing', usage: { cachedTokens: 192 } });
    expect(await ordered(lateMs)).toBe(1);
    // This isolate has just ordered one.
    expect(await ordered(lateMs + 1)).toBe(0);
    await operate(node, 'remove');
    expect(await ordered(lateMs + 60_000)).toBe(0);
  });

  it('gets another attempt when the edge died during the last one', async () => {
    const node = await canaryNode();
    const beganMs = Date.now() - OPEN_MS_MAX - 1_000;
    await env.DB.prepare('insert into canary (request_id, node_id, at_ms) values (?, ?, ?)')
      .bind('canary_2_cut', node.id, beganMs)
      .run();
    const { using, tasks } = withTasks();
    await replyOf(node, {}, using);
    expect(await lastAttempt(node)).toMatchObject({ fault: 'interrupted' });
    await replyOf(node, {}, using);
    expect(tasks).toHaveLength(1);
  });
});

describe('the requests', () => {
  it('are the canary prompt twice and then its tasks, sent as the gateway sends requests, for an account that does not exist', async () => {
    const node = await canaryNode();
    await attempt(node);
    expect(node.fake.received).toMatchObject([
      { request: CANARY_REQUEST, claims: { sub: 'canary', max_tokens: 64, model: R1 } },
      { request: CANARY_REQUEST, claims: { sub: 'canary', max_tokens: 64, model: R1 } },
      { request: { tools: [{}] }, claims: { sub: 'canary', max_tokens: 1_024, context_tokens: 131_072 } },
      { request: { response_format: {} }, claims: { sub: 'canary', max_tokens: 1_024 } },
    ]);
    const [first, second, ...tasks] = node.fake.received.map(({ claims }) => claims.jti);
    for (const id of [first, ...tasks])
      expect(parseCanaryId(id!)).toEqual({ secondId: second, isSecond: false });
    expect(await lastAttempt(node)).toMatchObject({
      requestId: second,
      usage: { promptTokens: 250, cachedTokens: 192, completionTokens: 4, reasoningTokens: 2 },
      fault: null,
      passedAtMs: null,
    });
  });

  it('are made once, however often the task arrives, even concurrently', async () => {
    const node = await canaryNode();
    const message = (id: string) => ({
      ...{ id, attempts: 1, timestamp: new Date(), body: { kind: 'canary', nodeId: node.id } },
      ack: vi.fn(),
      retry: vi.fn(),
    });
    const messages = ['a', 'b', 'c'].map(message);
    await queue({ queue: 'tollgate-tasks', messages } as unknown as MessageBatch, env);
    await queue({ queue: 'tollgate-tasks', messages: messages.slice(0, 1) } as unknown as MessageBatch, env);
    for (const { ack, retry } of messages)
      expect([ack.mock.calls.length > 0, retry.mock.calls]).toEqual([true, []]);
    expect(node.fake.received).toHaveLength(4);
    expect((await canaryStanding(db, node.id)).attempts).toHaveLength(1);
  });

  it.each(['active', 'draining', 'quarantined', 'removed'] as const)(
    'are not made to a node that is %s by now',
    async (state) => {
      const node = await canaryNode(sound, state);
      await attempt(node);
      expect([node.fake.received, await lastAttempt(node)]).toEqual([[], null]);
    },
  );

  it('are not made to a node that is unknown, or that went silent', async () => {
    await runCanary(env, newId('node', Date.now()), Date.now());
    const node = await canaryNode();
    network().stopBeats();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    await attempt(node);
    expect([node.fake.received, await lastAttempt(node)]).toEqual([[], null]);
  });
});

/** A line of text without an end. */
async function* endlessLine() {
  for (;;) yield 'data: '.padEnd(200_000, 'x');
}

async function* endlessChunks(usage: NodeChunk['usage']) {
  for (;;) yield textChunk('x', usage);
}

/** Answers the first request soundly, and the second by the script. */
const asSecond =
  (script: Script): Script =>
  (received) =>
    parseCanaryId(received.claims.jti)?.isSecond ? script(received) : sound(received);
/** Answers soundly but for the task with this field. */
const asTask =
  (field: 'tools' | 'response_format', script: Script): Script =>
  (received) =>
    received.request[field] === undefined ? sound(received) : script(received);
const spec250 = { prompt: 250, cached: 192, reasoning: ['x'] };

describe('an attempt fails with', () => {
  it.each<[string, Script, string]>([
    ['a closed port', () => Promise.reject(new TypeError('refused')), 'unreachable'],
    [
      'a redirect',
      () => new Response(null, { status: 302, headers: { location: 'https://elsewhere.example.com/' } }),
      'not_an_agent',
    ],
    ['a page with an error', () => new Response('<h1>502</h1>', { status: 502 }), 'not_an_agent'],
    ['an error without end', () => new Response(stream(endlessLine()).body, { status: 500 }), 'not_an_agent'],
    ['a refusal', () => nodeError(503, 'overloaded'), 'refused_overloaded'],
    ['a node that trusts another edge', () => nodeError(401, 'unauthorized'), 'refused_unauthorized'],
    ['an engine that failed', () => nodeError(502, 'engine_failed'), 'refused_engine_failed'],
    [
      'an engine whose context is too short',
      () =>
        Response.json(
          {
            error: {
              ...{ code: 'engine_failed', message: 'too short' },
              context: { prompt_tokens: 131_072, context_tokens: 4_000 },
            },
          },
          { status: 502 },
        ),
      'context_short',
    ],
    [
      'a tool call as text',
      asTask('tools', () => stream(answer({ ...spec250, content: [BIRD] }))),
      'no_tool_call',
    ],
    [
      'prose as JSON',
      asTask('response_format', () => stream(answer({ ...spec250, content: ['A ', 'bird.'] }))),
      'not_json',
    ],
    ['a task refused', asTask('response_format', () => nodeError(400, 'bad_request')), 'refused_bad_request'],
    ['a page', () => new Response('<h1>It works!</h1>\n\n'), 'broken_off'],
    ['nothing', () => new Response(''), 'broken_off'],
    ['a mere end', () => stream([DONE]), 'broken_off'],
    ['no end', () => stream([...answer(spec250)].slice(0, -1)), 'broken_off'],
    ['no end of the second', asSecond(() => stream([...answer(spec250)].slice(0, -1))), 'broken_off'],
    ['a cut connection', () => stream([textChunk('x', usageOf(250, 1)), new Error('reset')]), 'broken_off'],
    ['an endless line', () => stream(endlessLine()), 'broken_off'],
    ['tokens without end', () => stream(endlessChunks(usageOf(250, 1))), 'broken_off'],
    ['counts beyond reason', () => stream([textChunk('x', usageOf(2 ** 52, 1)), DONE]), 'broken_off'],
    [
      'more tokens than were asked for',
      () => stream([textChunk('x', usageOf(250, 65)), DONE]),
      'completion_tokens',
    ],
    ['too long a prompt', () => stream(answer({ ...spec250, prompt: 9_999 })), 'prompt_tokens'],
    [
      'another prompt the second time',
      asSecond(() => stream(answer({ ...spec250, prompt: 251 }))),
      'prompt_differs',
    ],
    ['no cache', () => stream(answer({ ...spec250, cached: 0 })), 'nothing_cached'],
    ['no reasoning', () => stream(answer({ prompt: 250, cached: 192, content: ['x'] })), 'no_reasoning'],
  ])('%s', async (_, script, fault) => {
    const node = await canaryNode(script);
    await attempt(node);
    expect(await lastAttempt(node)).toMatchObject({ fault, passedAtMs: null });
    // A receipt afterwards changes nothing.
    if (node.fake.received.length >= 2) await replyOf(node, { receipts: [receiptOf(node)] });
    expect([await stateOf(node), (await lastAttempt(node))?.fault]).toEqual(['canary', fault]);
  });

  it('a first token that is late', async () => {
    const node = await canaryNode(() => new Promise<Response>(() => undefined));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: Date.now() });
    const running = attempt(node);
    await waitFor(() => expect(node.fake.received).toHaveLength(1));
    await vi.advanceTimersByTimeAsync(30_000);
    await running;
    expect(await lastAttempt(node)).toMatchObject({ fault: 'first_token_late' });
  });
});

describe('the receipt', () => {
  it('that agrees makes the node active, and nothing is billed', async () => {
    const node = await canaryNode();
    await attempt(node);
    const { using, reached } = withRecordedWallets();
    const receipts = [receiptOf(node, { second: false }), receiptOf(node)];
    expect((await replyOf(node, { receipts }, withTasks(using).using)).acknowledged).toEqual([1, 2]);
    expect([await stateOf(node), await stateInPool(node)]).toEqual(['active', 'active']);
    expect(await lastAttempt(node)).toMatchObject({ fault: null, passedAtMs: expect.any(Number) });
    const passed = (await auditOf(node.id)).filter(({ action }) => action === 'node.canary_passed');
    expect(passed.map(({ detail }) => JSON.parse(detail))).toEqual([USAGE]);
    expect(reached).toEqual([]);
    const known = await env.DB.prepare('select count(*) as n from node_receipt where node_id = ?')
      .bind(node.id)
      .first('n');
    expect(known).toBe(0);
    // Sent again, it is only acknowledged.
    expect((await replyOf(node, { receipts })).acknowledged).toEqual([1, 2]);
    expect((await actionsOf(node)).filter((action) => action === 'node.canary_passed')).toHaveLength(1);
  });

  it.each<[string, Partial<Receipt>]>([
    ['one token more', { usage: { ...USAGE, completion_tokens: 5 } }],
    ['one token less', { usage: { ...USAGE, completion_tokens: 3 } }],
    ['less that was cached', { usage: { ...USAGE, cached_tokens: 0 } }],
    ['that it broke off', { outcome: 'failed' }],
  ])('that says %s keeps the node from customers', async (_, change) => {
    const node = await canaryNode();
    await attempt(node);
    expect((await replyOf(node, { receipts: [receiptOf(node, change)] })).acknowledged).toEqual([2]);
    expect((await lastAttempt(node))?.fault).toBe('receipt_differs');
    // A later receipt that agrees changes nothing.
    await replyOf(node, { receipts: [receiptOf(node)] });
    expect(await stateOf(node)).toBe('canary');
  });

  it('of the first request alone proves nothing', async () => {
    const node = await canaryNode();
    await attempt(node);
    expect((await replyOf(node, { receipts: [receiptOf(node, { second: false })] })).acknowledged).toEqual([
      1,
    ]);
    expect([await stateOf(node), (await lastAttempt(node))?.fault]).toEqual(['canary', null]);
  });

  it('that comes before the edge has read the answer is deferred', async () => {
    const gate = Promise.withResolvers<void>();
    const node = await canaryNode(async (received) => {
      if (parseCanaryId(received.claims.jti)?.isSecond) await gate.promise;
      return sound(received);
    });
    const running = attempt(node);
    await waitFor(() => expect(node.fake.received).toHaveLength(2));
    const receipts = [receiptOf(node, { second: false }), receiptOf(node)];
    expect((await replyOf(node, { receipts })).acknowledged).toEqual([1]);
    gate.resolve();
    await running;
    expect((await replyOf(node, { receipts: receipts.slice(1) })).acknowledged).toEqual([2]);
    expect(await stateOf(node)).toBe('active');
  });

  it('of another node’s canary proves nothing for either', async () => {
    const [honest, rogue] = [await canaryNode(), await canaryNode()];
    await attempt(honest);
    const stolen = receiptOf(honest, { seq: 7 });
    expect((await replyOf(rogue, { receipts: [stolen] })).acknowledged).toEqual([]);
    const spoilt = receiptOf(honest, { seq: 8, usage: { ...USAGE, completion_tokens: 1 } });
    await replyOf(rogue, { receipts: [spoilt] });
    expect([await stateOf(honest), await stateOf(rogue)]).toEqual(['canary', 'canary']);
    await replyOf(honest, { receipts: [receiptOf(honest)] });
    expect([await stateOf(honest), await stateOf(rogue)]).toEqual(['active', 'canary']);
  });

  it('of no known attempt is refused: at once when it cannot belong to one, after two minutes when it could', async () => {
    const node = await canaryNode();
    const atMs = Date.now();
    const unknown = (seq: number, change: Partial<Receipt>) =>
      receipt(seq, 'canary', { request_id: `canary_2${newId('req', atMs).slice(3)}`, ...change });
    const receipts = [
      unknown(1, { request_id: newId('req', atMs) }),
      unknown(2, { model: 'deepseek-v3-0324' }),
      unknown(3, { ended_at_ms: atMs - 100_000 }),
      unknown(4, { ended_at_ms: atMs - 121_000 }),
      // The node's clock is an hour fast.
      unknown(5, { ended_at_ms: atMs + 3_600_000 }),
    ];
    const { using, reached } = withRecordedWallets();
    const { acknowledged } = await replyOf(node, { receipts }, withTasks(using).using);
    expect(acknowledged.sort()).toEqual([1, 2, 4, 5]);
    expect(reached).toEqual([]);
    const refused = (await auditOf(node.id)).find(({ action }) => action === 'receipts.refused');
    expect(JSON.parse(refused!.detail)).toEqual({ unknown_canary: 4, first_seq: 1 });
  });
});

describe('the operator', () => {
  it('quarantines during a canary attempt, which then cannot make the node active', async () => {
    const gate = Promise.withResolvers<void>();
    const node = await canaryNode(async (received) => {
      if (parseCanaryId(received.claims.jti)?.isSecond) await gate.promise;
      return sound(received);
    });
    const running = attempt(node);
    await waitFor(() => expect(node.fake.received).toHaveLength(2));
    expect(await operate(node, 'quarantine')).toBe('quarantined');
    gate.resolve();
    await running;
    const { directive, acknowledged } = await replyOf(node, { receipts: [receiptOf(node)] });
    expect([directive, acknowledged]).toEqual(['drain', [2]]);
    expect([await stateOf(node), await stateInPool(node)]).toEqual(['quarantined', 'quarantined']);
    // A restored node starts over: the earlier attempt does not count.
    expect(await operate(node, 'restore')).toBe('canary');
    await replyOf(node, { receipts: [receiptOf(node)] });
    expect([await stateOf(node), (await lastAttempt(node))?.fault]).toEqual(['canary', 'withdrawn']);
  });

  it('quarantines between the answer and its receipt', async () => {
    const node = await canaryNode();
    await attempt(node);
    await operate(node, 'quarantine');
    await operate(node, 'restore');
    await replyOf(node, { receipts: [receiptOf(node)] });
    expect(await stateOf(node)).toBe('canary');
  });

  it('restores a node that failed, and it gets an attempt at once', async () => {
    const node = await canaryNode(() => nodeError(503, 'overloaded'));
    for (let i = 0; i < 2; i++) {
      await attempt(node);
      await attempt(node, Date.now() + 15_000);
    }
    expect(node.fake.received).toHaveLength(2);
    const { using, tasks } = withTasks();
    await replyOf(node, {}, using);
    expect(tasks).toEqual([]);
    // Attempts of the same millisecond as the action would count as later ones.
    await new Promise((resolve) => setTimeout(resolve, 2));
    await env.DB.prepare('update canary set at_ms = at_ms - 20000 where node_id = ?').bind(node.id).run();
    expect(await operate(node, 'restore')).toBe('canary');
    await replyOf(node, {}, using);
    expect(tasks).toHaveLength(1);
    expect(await actionsOf(node)).toEqual(['node.canary']);
  });

  it('drains an active node and restores it to active, but restores an untried one to its canary', async () => {
    const node = await canaryNode(sound, 'active');
    expect([await operate(node, 'drain'), await operate(node, 'restore')]).toEqual(['draining', 'active']);
    const fresh = await canaryNode();
    expect([await operate(fresh, 'drain'), await operate(fresh, 'restore')]).toEqual([
      'quarantined',
      'canary',
    ]);
  });

  it('sees the last attempt in the API', async () => {
    const node = await canaryNode(() => nodeError(503, 'overloaded'));
    const seen = async () => {
      const { nodes } = await (await operatorGet('/nodes')).json<{
        nodes: { id: string; canary: unknown }[];
      }>();
      return nodes.find(({ id }) => id === node.id)!.canary;
    };
    expect(await seen()).toBeNull();
    await attempt(node);
    expect(await seen()).toEqual({
      at_ms: expect.any(Number),
      fault: 'refused_overloaded',
      passed_at_ms: null,
    });
  });
});

describe('a state that has changed since it was read', () => {
  const entry = { atMs: 1, actor: 'test', action: 'test', detail: {} };

  it('keeps a receipt from making the node active', async () => {
    const node = await canaryNode();
    await attempt(node);
    await env.DB.prepare("update node set state = 'quarantined', revision = revision + 1 where id = ?")
      .bind(node.id)
      .run();
    await replyOf(node, { receipts: [receiptOf(node)] });
    expect([await stateOf(node), await stateInPool(node)]).toEqual(['quarantined', 'quarantined']);
    expect(await actionsOf(node)).toEqual([]);
  });

  it('keeps a withdrawn attempt from passing', async () => {
    const node = await canaryNode();
    await attempt(node);
    const { requestId } = (await lastAttempt(node))!;
    await operate(node, 'restore');
    const passed = await passCanaryAttempt(db, {
      requestId,
      nodeId: node.id,
      entry: { ...entry, subject: node.id },
    });
    expect([passed, await stateOf(node)]).toEqual([false, 'canary']);
  });

  it('keeps a change from being made to a node in another state than expected', async () => {
    const { id: nodeId } = await canaryNode(sound, 'active');
    const change = { nodeId, from: 'draining', to: 'active', entry: { ...entry, subject: nodeId } } as const;
    expect(await changeNodeState(db, { ...change, from: 'canary', to: 'quarantined' })).toBe(false);
    expect(await changeNodeState(db, change)).toBe(false);
    // An isolate with an old copy of the row reports an engine that has passed its canary meanwhile.
    const engine = { engineVersion: '0.5.20', weightVersion: 'default' };
    const outdated = { ...engine, nodeId, from: 'active', to: 'canary', entries: [change.entry] } as const;
    expect(await changeEngine(db, outdated)).toBe(false);
    expect(await auditOf(nodeId)).not.toContainEqual(expect.objectContaining({ action: 'test' }));
  });
});

describe('the pool’s page', () => {
  it('says how the last attempt went and what to do, and offers the possible actions', async () => {
    const browser = await operatorBrowser();
    const failing = await canaryNode(({ claims }) =>
      stream(answer({ ...spec250, cached: parseCanaryId(claims.jti)?.isSecond ? 0 : 64 })),
    );
    const html = async () => (await browser.get('/operator/pool')).text();
    const page = () => textOf(browser.get('/operator/pool'));
    expect(await page()).toContain(canary.waiting);
    await attempt(failing);
    const failed = await page();
    for (const shown of [
      canary.faults.nothing_cached,
      canary.triedAgain,
      'Prompt: 250 tokens, 0 of them cached',
    ])
      expect(failed).toContain(shown);
    const actions = async (node: CanaryNode) => {
      const offered = (await html()).matchAll(new RegExp(`action="/operator/nodes/${node.id}/(\\w+)"`, 'g'));
      return [...offered].map(([, action]) => action);
    };
    expect(await actions(failing)).toEqual(['restore', 'quarantine']);

    const passing = await canaryNode();
    await attempt(passing);
    expect(await page()).toContain('waiting for the node’s receipt');
    await replyOf(passing, { receipts: [receiptOf(passing)] });
    expect(await page()).toMatch(
      /Canary test passed, [^.]+ UTC. Prompt: 250 tokens, 192 of them cached. Answer: 4 tokens, 2 of them/,
    );
    expect(await actions(passing)).toEqual(['drain', 'quarantine']);
    const quarantined = await browser.postAndFollow(`/operator/nodes/${passing.id}/quarantine`, {});
    expect(await textOf(quarantined)).toContain(canary.held);
    expect(await actions(passing)).toEqual(['restore']);
    await browser.post(`/operator/nodes/${passing.id}/restore`, {});
    expect(await stateOf(passing)).toBe('canary');
    expect(await actionsOf(passing)).toEqual(['node.canary_passed', 'node.quarantined', 'node.canary']);
  });

  it('says so in French, too', async () => {
    await attempt(await canaryNode(() => nodeError(503, 'overloaded')));
    const page = await textOf((await operatorBrowser('fr')).get('/operator/pool'));
    expect(page).toContain(fr.pool.canary.faults.refused_overloaded.replaceAll(/\s+/g, ' '));
  });

  it('lets no customer quarantine a node', async () => {
    const node = await canaryNode(sound, 'active');
    const customer = new Browser();
    await customer.signUp();
    expect((await customer.post(`/operator/nodes/${node.id}/quarantine`, {})).status).toBe(404);
    expect(await stateOf(node)).toBe('active');
  });
});

describe('another engine', () => {
  const engine = heartbeat().engine;
  const version = (to: string) => ({ engine: { ...engine, version: to } });

  it.each([
    ['versions', { ...engine, version: '0.5.21' }],
    ['weights', { ...engine, weight_version: 'v2' }],
  ])('with other %s passes a canary before it gets customers', async (_, changed) => {
    const node = await canaryNode(sound, 'active');
    await replyOf(node, { engine: changed });
    expect([await stateOf(node), await stateInPool(node)]).toEqual(['canary', 'canary']);
    expect((await actionsOf(node)).sort()).toEqual(['node.canary', 'node.engine_changed']);
    // An isolate with an old copy of the row reports the same again.
    await replyOf(node, { engine: changed });
    expect(await actionsOf(node)).toHaveLength(2);
    await attempt(node);
    await replyOf(node, { engine: changed, receipts: [receiptOf(node)] });
    expect(await stateOf(node)).toBe('active');
  });

  it('of a draining node quarantines it, so that restoring leads to a canary', async () => {
    const node = await canaryNode(sound, 'draining');
    await replyOf(node, version('0.5.21'));
    expect(await stateOf(node)).toBe('quarantined');
    expect(await operate(node, 'restore')).toBe('canary');
  });

  it('voids an attempt that is open', async () => {
    const node = await canaryNode();
    await attempt(node);
    await replyOf(node, { ...version('0.5.21'), receipts: [receiptOf(node)] });
    expect([await stateOf(node), (await lastAttempt(node))?.fault]).toEqual(['canary', 'engine_changed']);
  });

  it('is not assumed when the version was unknown for a while', async () => {
    const node = await canaryNode(sound, 'active');
    await replyOf(node, version('unknown'));
    expect([await stateOf(node), await actionsOf(node)]).toEqual(['active', []]);
    await replyOf(node, version('0.5.20'));
    expect([await stateOf(node), await actionsOf(node)]).toEqual(['active', []]);
    // A change during that time is still noticed.
    await replyOf(node, version('unknown'));
    await replyOf(node, version('0.5.21'));
    expect(await stateOf(node)).toBe('canary');
  });

  it('is not assumed when the version becomes known for the first time', async () => {
    const node = await canaryNode(sound, 'active');
    await env.DB.prepare("update node set engine_version = 'unknown' where id = ?").bind(node.id).run();
    await replyOf(node, version('0.5.20'));
    expect([await stateOf(node), await actionsOf(node)]).toEqual(['active', ['node.engine_changed']]);
  });

  it('is noticed although an isolate’s cached row has another state', async () => {
    const node = await canaryNode(sound, 'draining');
    await replyOf(node);
    // Another isolate restored the node; this one's copy still says draining.
    await env.DB.prepare("update node set state = 'active', revision = revision + 1 where id = ?")
      .bind(node.id)
      .run();
    await replyOf(node, version('0.5.21'));
    await replyOf(node, version('0.5.21'));
    expect(await stateOf(node)).toBe('canary');
  });
});
