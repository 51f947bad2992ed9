import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { database } from '../../worker/db/client.ts';
import { countedSince, newestReceipts, waitingSince } from '../../worker/db/drift.ts';
import { project } from '../../worker/db/projection.ts';
import { drift, usageEvent } from '../../worker/db/schema.ts';
import { newId } from '../../worker/domain/ids.ts';
import type { DriftKind, WriteOffReason } from '../../worker/domain/reconciliation.ts';
import { MESSAGES } from '../../worker/portal/language/locale.ts';
import { auditOf, enrolledNode, env } from './fleet-fixtures.ts';
import { operatorBrowser, operatorGet, operatorSend, outcome, textOf } from './operator-console.ts';
import { Browser } from './portal-browser.ts';

const names = MESSAGES.en.operator.reconciliation;
const db = database(env);

interface Read {
  findings: { request_id: string; kind: string }[];
  counted: {
    node_id: string;
    write_off_reason: string | null;
    receipts: number;
    prompt_tokens: number;
    completion_tokens: number;
    written_off_prompt_tokens: number;
    written_off_completion_tokens: number;
  }[];
  newest_receipts: { node_id: string; delay_ms: number | null }[];
  waiting: { requests: number; oldest_ended_at: string | null; looked_at: number; complete: boolean };
}

const read = async () => (await operatorGet('/reconciliation')).json<Read>();
const close = (body: object) => operatorSend('/reconciliation/close', body);

async function finding(kind: DriftKind, detail: Record<string, string | number>, nodeId = '') {
  const row = {
    requestId: newId('req', Date.now()),
    nodeId,
    kind,
    accountId: newId('acct', Date.now()),
    foundAtMs: Date.now(),
    detail,
  };
  await db.insert(drift).values(row);
  return row;
}

/** A billed request that ended so long ago. */
async function billed(nodeId: string, agoMs: number, change: Partial<typeof usageEvent.$inferInsert> = {}) {
  const endedAtMs = Date.now() - agoMs;
  const requestId = newId('req', endedAtMs - 1_000);
  await db.insert(usageEvent).values({
    requestId,
    accountId: 'acct_1',
    keyId: 'key_1',
    modelId: 'deepseek-r1-0528',
    nodeId,
    admittedAtMs: endedAtMs - 1_000,
    endedAtMs,
    state: 'posted',
    ending: 'finished',
    stream: true,
    promptTokens: 10,
    cachedTokens: 0,
    completionTokens: 20,
    reasoningTokens: 0,
    priceId: 'deepseek-r1-0528/standard/1',
    chargeNanoUsd: 49_300,
    entrySeq: 2,
    ttftMs: 1,
    ...change,
  });
  return { requestId, endedAtMs };
}

/** A receipt as the Wallet tells D1 of it. */
function receipt(
  nodeId: string,
  of: { requestId: string; receivedAtMs?: number; off?: number; reason?: WriteOffReason },
) {
  const { requestId, receivedAtMs = Date.now(), off = 0, reason = null } = of;
  const usage = { promptTokens: 10, cachedTokens: 0, completionTokens: 20 + off, reasoningTokens: 0 };
  return project(db, [
    {
      kind: 'receipt',
      accountId: 'acct_1',
      receivedAtMs,
      receipt: { requestId, nodeId, outcome: 'finished', usage, ttftMs: 1 },
      writeOff: { promptTokens: 0, completionTokens: off, reason },
      late: false,
    },
  ]);
}

beforeEach(async () => {
  for (const table of ['drift', 'node_receipt', 'receipt_hour', 'usage_event']) {
    await env.DB.prepare(`DELETE FROM ${table}`).run();
  }
});

describe('open findings', () => {
  it('are listed until one of them is closed with a note, which is on record', async () => {
    const one = await finding('price', { priceId: 'x/1', charged: 5, recomputed: 6 });
    const other = await finding('tokens', { billedPrompt: 1 }, 'node_a');
    expect((await read()).findings.map((each) => each.request_id)).toEqual([one.requestId, other.requestId]);

    const name = { request_id: one.requestId, kind: 'price' };
    expect(await outcome(close({ ...name, note: '' }))).toBe('400 body_invalid');
    expect(await outcome(close({ ...name, kind: 'tokens', note: 'x' }))).toBe('404 finding_not_open');
    expect(await outcome(close({ ...name, note: 'a test of ours' }))).toBe('200');
    expect(await outcome(close({ ...name, note: 'again' }))).toBe('404 finding_not_open');
    expect((await read()).findings.map((each) => each.request_id)).toEqual([other.requestId]);
    const rows = await auditOf(one.requestId);
    expect(rows).toMatchObject([{ action: 'drift.closed', actor: 'operator-token' }]);
    expect(JSON.parse(rows[0]!.detail)).toEqual({ kind: 'price', node: null, note: 'a test of ours' });
  });

  it('are closed once when many do so at once', async () => {
    const { requestId } = await finding('price', {});
    const body = { request_id: requestId, kind: 'price', note: 'seen' };
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => outcome(close(body))));
    expect(outcomes.toSorted()).toEqual(['200', ...Array(5).fill('404 finding_not_open')]);
    expect(await auditOf(requestId)).toHaveLength(1);
  });

  it('say in words what both sides say, and are counted on every page of the console', async () => {
    const console = await operatorBrowser();
    expect(await textOf(console.get('/operator/reconciliation'))).toContain(names.none);
    const counts = { billedPrompt: 10, billedCompletion: 2_000, countedPrompt: 10, countedCompletion: 1_999 };
    await finding('tokens', counts, 'node_a');
    await finding('price', { priceId: 'r1/standard/1', charged: 500, recomputed: 501 });
    await finding('receipt_missing', { billedPrompt: 10, billedCompletion: 20 }, 'node_a');
    await finding('double', { alsoBy: 'node_b' }, 'node_a');
    const text = await textOf(console.get('/operator/reconciliation'));
    expect(text).toContain('Billed 10 prompt and 2,000 completion tokens; the node counted 10 and 1,999.');
    expect(text).toContain('Charged 500 nano-USD; tokens × r1/standard/1 make 501.');
    expect(text).toContain('no node has said that it generated them');
    expect(text).toContain('This node gave a whole answer, and so did node_b.');
    expect(text).not.toContain('undefined');
    for (const page of ['pool', 'prices', 'promo-codes', 'reconciliation', 'accounts']) {
      expect(await textOf(console.get(`/operator/${page}`))).toContain(MESSAGES.en.operator.nav.open('4'));
    }
  });

  it('are closed in the console by whoever says what it was', async () => {
    const console = await operatorBrowser();
    const { requestId, nodeId } = await finding('receipt_missing', {}, 'node_a');
    const named = { request: requestId, node: nodeId, kind: 'receipt_missing' };
    const path = '/operator/reconciliation/close';
    expect((await console.get(`${path}?${new URLSearchParams(named)}`)).status).toBe(200);
    const silent = await console.post(path, { ...named, note: '' });
    expect([silent.status, await textOf(silent)]).toEqual([
      422,
      expect.stringContaining(MESSAGES.en.faults.required),
    ]);
    const closed = await textOf(console.postAndFollow(path, { ...named, note: 'disk was full' }));
    expect(closed).toContain(names.closed);
    expect((await console.post(path, { ...named, note: 'again' })).status).toBe(404);
    const [row] = await auditOf(requestId);
    const person = await env.DB.prepare('select id from person where email = ?').bind(console.email).first();
    expect(row).toMatchObject({ action: 'drift.closed', actor: person!.id });
  });

  it('do not exist for a customer', async () => {
    const { requestId } = await finding('price', {});
    const customer = new Browser();
    await customer.signUp();
    const fields = { request: requestId, node: '', kind: 'price', note: 'mine' };
    const query = new URLSearchParams(fields);
    expect((await customer.get('/operator/reconciliation')).status).toBe(404);
    expect((await customer.get(`/operator/reconciliation/close?${query}`)).status).toBe(404);
    expect((await customer.post('/operator/reconciliation/close', fields)).status).toBe(404);
    expect((await read()).findings).toHaveLength(1);
  });
});

describe('tokens by node', () => {
  it('that were counted are those billed and those written off, each with its reason', async () => {
    const node = await enrolledNode();
    for (let i = 0; i < 3; i++) await receipt(node.id, { requestId: newId('req', Date.now()) });
    const reason = 'after_client_gone';
    await receipt(node.id, { requestId: newId('req', Date.now()), off: 7, reason });
    const old = Date.now() - 86_400_000;
    await receipt(node.id, { requestId: newId('req', old), receivedAtMs: old });
    const rows = (await read()).counted.filter(({ node_id }) => node_id === node.id);
    expect(rows).toMatchObject([
      { write_off_reason: null, receipts: 3, prompt_tokens: 30, completion_tokens: 60 },
      { write_off_reason: reason, receipts: 1, completion_tokens: 27, written_off_completion_tokens: 7 },
    ]);
    const text = await textOf((await operatorBrowser()).get('/operator/reconciliation'));
    expect(text).toContain('gpu-1 4 127 120 7 after the client left: 7');
  });

  it('are those since midnight, each receipt once however often it is told', async () => {
    const node = await enrolledNode();
    const midnightMs = Math.floor(Date.now() / 86_400_000) * 86_400_000;
    for (let again = 0; again < 3; again++)
      await receipt(node.id, { requestId: newId('req', 1, new Uint8Array(10)), receivedAtMs: midnightMs });
    await receipt(node.id, { requestId: newId('req', 2), receivedAtMs: midnightMs - 1 });
    expect((await read()).counted).toMatchObject([{ node_id: node.id, receipts: 1, completion_tokens: 20 }]);
  });
});

describe('the lag', () => {
  it('of each node is what its newest receipt came after its request ended', async () => {
    const [node, silent] = [await enrolledNode(), await enrolledNode()];
    const { requestId, endedAtMs } = await billed(node.id, 60_000);
    await receipt(node.id, { requestId, receivedAtMs: endedAtMs + 2_500 });
    const older = await billed(node.id, 3_600_000);
    await receipt(node.id, { requestId: older.requestId, receivedAtMs: older.endedAtMs + 9_000 });
    const { newest_receipts } = await read();
    expect(newest_receipts).toMatchObject([{ node_id: node.id, delay_ms: 2_500 }]);
    expect(newest_receipts.some(({ node_id }) => node_id === silent.id)).toBe(false);
    const text = await textOf((await operatorBrowser()).get('/operator/reconciliation'));
    expect(text).toMatch(/gpu-1 [^a-z]+ [A-Z][a-z]{2} [^a-z]+ 2\.5 sec/);
  });

  it('counts billed requests of the day without a receipt of their node, and since when', async () => {
    expect((await read()).waiting).toEqual({
      requests: 0,
      oldest_ended_at: null,
      looked_at: 0,
      complete: true,
    });
    const oldest = await billed('node_a', 7_200_000);
    await billed('node_a', 60_000);
    const heard = await billed('node_a', 60_000);
    await receipt('node_a', { requestId: heard.requestId });
    // another node's receipt is not this one's word
    await receipt('node_b', { requestId: oldest.requestId });
    await billed('node_a', 60_000, { chargeNanoUsd: 0, state: 'voided', ending: 'not_served' });
    await billed('node_a', 25 * 3_600_000);
    expect((await read()).waiting).toEqual({
      requests: 2,
      oldest_ended_at: new Date(oldest.endedAtMs).toISOString(),
      looked_at: 4,
      complete: true,
    });
    const text = await textOf((await operatorBrowser()).get('/operator/reconciliation'));
    expect(text).toContain(names.waiting('2'));
    expect(text).toContain(names.waitingSince('2 hr'));
  });

  it('looks at so many at most, the newest first', async () => {
    for (let i = 0; i < 5; i++) await billed('node_a', 60_000 * (i + 1));
    const rows = await db.all(waitingSince(0, 3));
    expect(rows).toMatchObject([{ waiting: 3, lookedAt: 3 }]);
  });
});

it.each([
  ['countedSince', countedSince(1), [/SEARCH r USING PRIMARY KEY \(node_id=\? AND hour_ms>/]],
  [
    'newestReceipts',
    newestReceipts(),
    [
      /SEARCH r USING (COVERING )?INDEX node_receipt_by_node \(node_id=\? AND received_at_ms=\?\)/,
      /SEARCH node_receipt USING COVERING INDEX node_receipt_by_node/,
      /SEARCH u USING PRIMARY KEY/,
    ],
  ],
  [
    'waitingSince',
    waitingSince(1),
    [
      /SEARCH u USING PRIMARY KEY \(request_id>/,
      /SEARCH r USING PRIMARY KEY \(request_id=\? AND node_id=\?\)/,
    ],
  ],
])('%s reads from an index, however many rows there are', async (_, query, expected) => {
  const rows = await db.all<{ detail: string }>(sql`explain query plan ${query}`);
  const plan = rows.map(({ detail }) => detail).join('\n');
  for (const step of expected) expect(plan).toMatch(step);
  expect(plan).not.toMatch(/SCAN (r|u|node_receipt|usage_event)\b/);
});
