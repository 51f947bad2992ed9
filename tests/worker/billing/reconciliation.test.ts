import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { countedTokensSince, newestReceipts, waitingReceipts } from '../../../worker/db/drift.ts';
import { project } from '../../../worker/db/projection.ts';
import { drift } from '../../../worker/db/schema.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import type { OutboxItem } from '../../../worker/domain/outbox.ts';
import type { DriftKind, WriteOffReason } from '../../../worker/domain/reconciliation.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { auditOf, enrolledNode, env } from '../fleet/fixtures.ts';
import { Browser } from '../portal/browser.ts';
import { operatorBrowser, operatorGet, operatorSend, outcomeOf, textOf } from '../portal/operator/console.ts';

const names = MESSAGES.en.operator.reconciliation;
const db = database(env);

interface ReconciliationBody {
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
  waiting: { requests: number };
}

const read = async () => (await operatorGet('/reconciliation')).json<ReconciliationBody>();
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

let seq = 0;
/** Publishes items as the Wallet of `acct_1` does. */
async function publish(...items: OutboxItem[]): Promise<void> {
  const numbered = items.map((item) => ({ seq: ++seq, item }));
  await project(db, 'acct_1', numbered);
}

const accountId = 'acct_1';
const USED = { promptTokens: 10, cachedTokens: 0, completionTokens: 20, reasoningTokens: 0 };

/** Publishes a billed request that ended `agoMs` ago. */
async function publishBilled(nodeId: string, agoMs: number, change: { chargeNanoUsd?: number } = {}) {
  const endedAtMs = Date.now() - agoMs;
  const requestId = newId('req', endedAtMs - 1_000);
  const { chargeNanoUsd = 49_300 } = change;
  const price = {
    id: 'deepseek-r1-0528/standard/1',
    cacheHitNanoUsd: 140,
    cacheMissNanoUsd: 550,
    outputNanoUsd: 2_190,
  };
  const request = {
    requestId,
    keyId: 'key_1',
    modelId: 'deepseek-r1-0528',
    nodeId,
    admittedAtMs: endedAtMs - 1_000,
    endedAtMs,
    heldNanoUsd: nanoUsd(0),
    state: chargeNanoUsd > 0 ? ('posted' as const) : ('voided' as const),
    ending: chargeNanoUsd > 0 ? ('finished' as const) : ('not_served' as const),
    stream: true,
    usage: chargeNanoUsd > 0 ? USED : { ...USED, promptTokens: 0, completionTokens: 0 },
    price,
    chargeNanoUsd: nanoUsd(chargeNanoUsd),
    grantedNanoUsd: nanoUsd(0),
    entrySeq: 2,
    ttftMs: 1,
  };
  await publish({ kind: 'usage', accountId, requests: [request] });
  return { requestId, endedAtMs };
}

/** Publishes a receipt that gets a row of its own. */
function publishReceipt(
  nodeId: string,
  options: { requestId: string; receivedAtMs?: number; writtenOff?: number; reason?: WriteOffReason },
) {
  const { requestId, receivedAtMs = Date.now(), writtenOff = 0, reason = null } = options;
  return publish({
    kind: 'receipt',
    accountId,
    receivedAtMs,
    receipt: {
      requestId,
      nodeId,
      outcome: 'finished',
      usage: { ...USED, completionTokens: 20 + writtenOff },
      ttftMs: 1,
      ticket: null,
    },
    writeOff: { promptTokens: 0, completionTokens: writtenOff, reason },
    late: false,
  });
}

/** Publishes receipts that match what was billed. 'witnessed' is the stored kind of that item. */
function publishMatched(
  nodeId: string,
  options: { receipts?: number; receivedAtMs?: number; newestEndedAtMs?: number; late?: string[] },
) {
  const { receipts = 1, receivedAtMs = Date.now(), newestEndedAtMs = Date.now(), late = [] } = options;
  const tokens = { promptTokens: 10 * receipts, completionTokens: 20 * receipts };
  return publish({
    kind: 'witnessed',
    accountId,
    nodeId,
    receivedAtMs,
    receipts,
    ...tokens,
    newestEndedAtMs,
    late,
  });
}

beforeEach(async () => {
  // Requests leave D1 for the archive only; here each test begins without any.
  await env.DB.prepare('DROP TRIGGER IF EXISTS usage_event_keeps_all_rows').run();
  for (const table of ['drift', 'node_receipt', 'receipt_hour', 'usage_event', 'projection']) {
    await env.DB.prepare(`DELETE FROM ${table}`).run();
  }
});

describe('open findings', () => {
  it('are listed until they are closed with a note, which is in the audit trail', async () => {
    const one = await finding('price', { priceId: 'x/1', charged: 5, recomputed: 6 });
    const other = await finding('tokens', { billedPrompt: 1 }, 'node_a');
    expect((await read()).findings.map((each) => each.request_id)).toEqual([one.requestId, other.requestId]);

    const name = { request_id: one.requestId, kind: 'price' };
    expect(await outcomeOf(close({ ...name, note: '' }))).toBe('400 body_invalid');
    expect(await outcomeOf(close({ ...name, kind: 'tokens', note: 'x' }))).toBe('404 finding_not_open');
    expect(await outcomeOf(close({ ...name, note: 'a test of ours' }))).toBe('200');
    expect(await outcomeOf(close({ ...name, note: 'again' }))).toBe('404 finding_not_open');
    expect((await read()).findings.map((each) => each.request_id)).toEqual([other.requestId]);
    const rows = await auditOf(one.requestId);
    expect(rows).toMatchObject([{ action: 'drift.closed', actor: 'operator-token' }]);
    expect(JSON.parse(rows[0]!.detail)).toEqual({ kind: 'price', node: null, note: 'a test of ours' });
  });

  it('are closed once when many operators close them at once', async () => {
    const { requestId } = await finding('price', {});
    const body = { request_id: requestId, kind: 'price', note: 'seen' };
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => outcomeOf(close(body))));
    expect(outcomes.toSorted()).toEqual(['200', ...Array(5).fill('404 finding_not_open')]);
    expect(await auditOf(requestId)).toHaveLength(1);
  });

  it('describe both sides’ values, and are counted on every page of the console', async () => {
    const console = await operatorBrowser();
    expect(await textOf(console.get('/operator/reconciliation'))).toContain(names.none);
    const counts = { billedPrompt: 10, billedCompletion: 2_000, countedPrompt: 10, countedCompletion: 1_999 };
    await finding('tokens', counts, 'node_a');
    await finding('price', { priceId: 'r1/standard/1', charged: 500, recomputed: 501 });
    await finding('receipt_missing', { billedPrompt: 10, billedCompletion: 20 }, 'node_a');
    await finding('double', { alsoBy: 'node_b' }, 'node_a');
    const text = await textOf(console.get('/operator/reconciliation'));
    expect(text).toContain('Billed 10 prompt and 2,000 completion tokens; the node counted 10 and 1,999.');
    expect(text).toContain('Charged 500 nano-USD; tokens × r1/standard/1 come to 501.');
    expect(text).toContain('no node has reported generating them');
    expect(text).toContain('This node gave a complete answer, and so did node_b.');
    expect(text).not.toContain('undefined');
    for (const page of ['pool', 'prices', 'promo-codes', 'reconciliation', 'accounts']) {
      expect(await textOf(console.get(`/operator/${page}`))).toContain(MESSAGES.en.operator.nav.open('4'));
    }
  });

  it('are closed in the console with a note', async () => {
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

  it('are a 404 for a customer', async () => {
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
  it('are the billed and the written-off tokens, each with its reason', async () => {
    const node = await enrolledNode();
    await publishMatched(node.id, { receipts: 2 });
    await publishReceipt(node.id, { requestId: newId('req', Date.now()) });
    const reason = 'after_client_gone';
    await publishReceipt(node.id, { requestId: newId('req', Date.now()), writtenOff: 7, reason });
    const old = Date.now() - 86_400_000;
    await publishReceipt(node.id, { requestId: newId('req', old), receivedAtMs: old });
    const rows = (await read()).counted.filter(({ node_id }) => node_id === node.id);
    expect(rows).toMatchObject([
      { write_off_reason: null, receipts: 3, prompt_tokens: 30, completion_tokens: 60 },
      { write_off_reason: reason, receipts: 1, completion_tokens: 27, written_off_completion_tokens: 7 },
    ]);
    const text = await textOf((await operatorBrowser()).get('/operator/reconciliation'));
    expect(text).toContain('gpu-1 4 127 120 7 after the client disconnected: 7');
  });

  it('are those since midnight', async () => {
    const node = await enrolledNode();
    const midnightMs = Math.floor(Date.now() / 86_400_000) * 86_400_000;
    await publishReceipt(node.id, { requestId: newId('req', 1), receivedAtMs: midnightMs });
    await publishReceipt(node.id, { requestId: newId('req', 2), receivedAtMs: midnightMs - 1 });
    expect((await read()).counted).toMatchObject([{ node_id: node.id, receipts: 1, completion_tokens: 20 }]);
  });
});

describe('the lag', () => {
  it('of each node is the delay of its newest receipt after its request ended', async () => {
    const [node, silent] = [await enrolledNode(), await enrolledNode()];
    const { requestId, endedAtMs } = await publishBilled(node.id, 60_000);
    await publishReceipt(node.id, { requestId, receivedAtMs: endedAtMs + 2_500 });
    const older = await publishBilled(node.id, 3_600_000);
    await publishReceipt(node.id, { requestId: older.requestId, receivedAtMs: older.endedAtMs + 9_000 });
    const matching = await enrolledNode();
    const at = Date.now() - 120_000;
    await publishMatched(matching.id, { receipts: 50, receivedAtMs: at, newestEndedAtMs: at - 700 });
    await publishMatched(matching.id, {
      receipts: 50,
      receivedAtMs: at - 60_000,
      newestEndedAtMs: at - 90_000,
    });
    const { newest_receipts } = await read();
    const delays = new Map(newest_receipts.map(({ node_id, delay_ms }) => [node_id, delay_ms]));
    expect(delays).toEqual(
      new Map([
        [node.id, 2_500],
        [matching.id, 700],
      ]),
    );
    expect(delays.has(silent.id)).toBe(false);
    const text = await textOf((await operatorBrowser()).get('/operator/reconciliation'));
    expect(text).toMatch(/gpu-1 [^a-z]+ [A-Z][a-z]{2} [^a-z]+ 2\.5 sec/);
  });

  it('counts billed requests without a receipt of their node, until it is a finding', async () => {
    expect((await read()).waiting).toEqual({ requests: 0 });
    const [first, second] = [await publishBilled('node_a', 7_200_000), await publishBilled('node_a', 60_000)];
    for (let i = 0; i < 3; i++) await publishBilled('node_a', 60_000);
    await publishBilled('node_a', 60_000, { chargeNanoUsd: 0 });
    await publishMatched('node_a', { receipts: 2 });
    // It differs, but it comes from the node that was billed.
    await publishReceipt('node_a', { requestId: second.requestId, writtenOff: 1, reason: 'undelivered' });
    // Another node's receipt does not count.
    await publishReceipt('node_b', {
      requestId: first.requestId,
      writtenOff: 1,
      reason: 'retried_elsewhere',
    });
    expect((await read()).waiting).toEqual({ requests: 2 });
    const text = await textOf((await operatorBrowser()).get('/operator/reconciliation'));
    expect(text).toContain(names.waiting('2'));
    await publish(missing(first.requestId));
    expect((await read()).waiting).toEqual({ requests: 1 });
    // It arrived after all: nothing waits for it any more, and its finding is resolved.
    await publishMatched('node_a', { late: [first.requestId] });
    expect((await read()).waiting).toEqual({ requests: 1 });
    expect((await read()).findings).toEqual([]);
  });

  it('is never negative when receipts are published before their requests', async () => {
    await publishMatched('node_a', { receipts: 3 });
    expect((await read()).waiting).toEqual({ requests: 0 });
    expect(await textOf((await operatorBrowser()).get('/operator/reconciliation'))).toContain(
      names.waitingNone,
    );
    for (let i = 0; i < 4; i++) await publishBilled('node_a', 1_000);
    expect((await read()).waiting).toEqual({ requests: 1 });
  });

  it('counts a late receipt once, whether its absence was a finding or not', async () => {
    const { requestId } = await publishBilled('node_a', 7_200_000);
    await publishMatched('node_a', { late: [requestId] });
    await publishBilled('node_a', 1_000);
    expect((await read()).waiting).toEqual({ requests: 1 });
  });
});

function missing(requestId: string): OutboxItem {
  return {
    kind: 'drift',
    accountId,
    drift: 'receipt_missing',
    requestId,
    nodeId: 'node_a',
    detail: { billedPrompt: 10, billedCompletion: 20 },
    foundAtMs: Date.now(),
  };
}

it.each([
  ['countedTokensSince', countedTokensSince(1), [/SEARCH r USING PRIMARY KEY \(node_id=\? AND hour_ms>/]],
  [
    'newestReceipts',
    newestReceipts(),
    [
      /SEARCH r USING PRIMARY KEY \(node_id=\? AND hour_ms=\?\)/,
      /SEARCH receipt_hour USING (COVERING INDEX|PRIMARY KEY)/,
    ],
  ],
  ['waitingReceipts', waitingReceipts(), [/SCAN projection/]],
])('%s reads from an index, however many rows there are', async (_, query, expected) => {
  const rows = await db.all<{ detail: string }>(sql`explain query plan ${query}`);
  const plan = rows.map(({ detail }) => detail).join('\n');
  for (const step of expected) expect(plan).toMatch(step);
  expect(plan).not.toMatch(/SCAN (r|u|node_receipt|usage_event|receipt_hour)\b/);
});
