/**
 * Leases in the Wallet: what they set aside, ends that are reported late, twice or never, and requests that wait for
 * slack.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { eq } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { drift } from '../../../worker/db/schema.ts';
import { newId } from '../../../worker/domain/ids.ts';
import {
  type Allotment,
  type LeasedEnd,
  type LeaseReport,
  NO_ALLOTMENT,
  ticketOf,
} from '../../../worker/domain/lease.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { env } from '../gateway/client.ts';
import { limited, passTime, price, receiptOf, usage, walletWith } from './fixtures.ts';

/** HOLD_LEASE_MS of vitest.config.ts, and a little more. */
const LEASE_MS = 60_000 + 1;
const HOLD = 1_000_000;

const allotment = (requests: number, held = requests * HOLD): Allotment => ({
  requests,
  nanoUsd: nanoUsd(held),
  tokens: requests * 10,
});

function ended(over: Partial<LeasedEnd> = {}): LeasedEnd {
  return {
    requestId: newId('req', Date.now()),
    stream: true,
    admittedAgoMs: 20,
    heldNanoUsd: nanoUsd(HOLD),
    nodeId: 'node_a',
    ending: 'finished',
    usage: usage(10, 0, 20),
    ttftMs: 5,
    ...over,
  };
}

const COST = 10 * price.cacheMissNanoUsd + 20 * price.outputNanoUsd;

/** An account with a lease of one isolate. */
async function leasing(balance = usd(1), limits = limited()) {
  const account = await walletWith(balance);
  const isolate = () => {
    const leaseId = newId('lease', Date.now());
    let seq = 0;
    let reported = 0;
    return {
      leaseId,
      /** @param over.ended ends that no earlier report has contained */
      report: (over: Partial<LeaseReport> = {}) => {
        const reportedBefore = reported;
        reported += over.reportedBefore === undefined ? (over.ended?.length ?? 0) : 0;
        return account.wallet.lease({
          leaseId,
          seq: ++seq,
          terms: { keyId: 'key_1', modelId: 'deepseek-r1-0528', price, limits },
          ended: [],
          admitted: 0,
          running: NO_ALLOTMENT,
          keptSlack: NO_ALLOTMENT,
          needs: { nanoUsd: nanoUsd(0), tokens: 0 },
          wantedSlack: NO_ALLOTMENT,
          reportedBefore,
          affinitiesSeen: 0,
          ...over,
        });
      },
    };
  };
  return { ...account, isolate, ...isolate() };
}

describe('a lease', () => {
  it('holds what it is granted, posts the ends that are reported, and returns all at its end', async () => {
    const { wallet, report } = await leasing();
    const grant = await report({ wantedSlack: allotment(4) });
    expect(grant).toMatchObject({ open: true, slack: allotment(4), contended: false });
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 4 * HOLD });

    const first = ended();
    const second = ended({ usage: null, ending: 'not_served', nodeId: null });
    await report({ ended: [first, second], admitted: 3, running: allotment(1), keptSlack: allotment(1) });
    expect(await wallet.balance()).toMatchObject({
      heldNanoUsd: 2 * HOLD,
      grantedNanoUsd: usd(1) - COST,
    });
    expect(await wallet.request(first.requestId)).toMatchObject({
      state: 'posted',
      ending: 'finished',
      chargeNanoUsd: COST,
    });
    expect(await wallet.request(second.requestId)).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });

    const last = ended();
    expect(await report({ ended: [last], admitted: 3 })).toMatchObject({ open: false });
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 0, grantedNanoUsd: usd(1) - 2 * COST });
  });

  it('charges once an end that is reported twice, late, or after the lease is over', async () => {
    const { wallet, leaseId, report } = await leasing();
    await report({ wantedSlack: allotment(4) });
    const one = ended();
    const repeated = { ended: [one], reportedBefore: 0, admitted: 1, keptSlack: allotment(3) };
    await report(repeated);
    await report(repeated);
    // A report that a later one overtook: its ends count, its sums do not.
    const two = ended();
    await report({ ended: [one, two], reportedBefore: 0, admitted: 2, running: allotment(3), seq: 1 });
    expect(await wallet.balance()).toMatchObject({
      heldNanoUsd: 2 * HOLD,
      grantedNanoUsd: usd(1) - 2 * COST,
    });
    await report({ admitted: 2 });
    const late = { ended: [two, ended()], reportedBefore: 1, admitted: 3, leaseId };
    expect(await report(late)).toMatchObject({ open: false });
    await report(late);
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 0, grantedNanoUsd: usd(1) - 3 * COST });
  });

  it('has no slack where that would be much of what is left, so that each request is admitted by itself', async () => {
    const { report } = await leasing(nanoUsd(15 * HOLD));
    expect((await report({ wantedSlack: allotment(10) })).slack).toEqual(NO_ALLOTMENT);
    const limits = limited({ concurrency: 20 }, { requestsPerMinute: 100 });
    const { report: within } = await leasing(usd(1), limits);
    expect((await within({ wantedSlack: allotment(10) })).slack).toEqual(allotment(2));
  });

  it('grows a running request’s hold as far as credit goes, and names what bounds it', async () => {
    const { wallet, report } = await leasing(nanoUsd(64 * HOLD));
    await report({ wantedSlack: allotment(4) });
    const needs = { nanoUsd: nanoUsd(30 * HOLD), tokens: 7 };
    expect(
      await report({ admitted: 1, running: allotment(1), keptSlack: allotment(3), needs }),
    ).toMatchObject({
      grown: needs,
      boundBy: null,
    });
    const running = { ...allotment(1), nanoUsd: nanoUsd(31 * HOLD) };
    const much = { ...needs, nanoUsd: nanoUsd(60 * HOLD) };
    expect(await report({ admitted: 1, running, needs: much })).toMatchObject({
      grown: { nanoUsd: 33 * HOLD },
      boundBy: 'insufficient_balance',
    });
    expect(await wallet.balance()).toMatchObject({ availableNanoUsd: 0 });
  });

  it('counts both what runs and its slack against limits', async () => {
    const limits = limited({ requestsPerMinute: 64 });
    const { admit, report, wallet } = await leasing(usd(1), limits);
    await report({ wantedSlack: allotment(4) });
    await report({ admitted: 3, running: allotment(3), keptSlack: allotment(1), wantedSlack: NO_ALLOTMENT });
    expect(await wallet.load({ keyId: 'key_1', capPeriod: 'total' })).toMatchObject({
      requestsLastMinute: 4,
      inFlight: 4,
      tokensLastMinute: 40,
      heldNanoUsd: 4 * HOLD,
    });
    const admitted = await admit({ limits: limited({ requestsPerMinute: 5 }) });
    expect(admitted).toMatchObject({ ok: true });
    const refused = await admit({ limits: limited({ requestsPerMinute: 5 }) });
    // The fifth place is slack of a live isolate.
    expect(refused).toMatchObject({ ok: false, retryInMs: expect.any(Number) });
    expect(
      await report({
        admitted: 3,
        running: allotment(3),
        keptSlack: NO_ALLOTMENT,
        wantedSlack: allotment(9),
      }),
    ).toMatchObject({
      contended: true,
      slack: NO_ALLOTMENT,
    });
    expect(await admit({ limits: limited({ requestsPerMinute: 5 }) })).toMatchObject({ ok: true });
    expect(await admit({ limits: limited({ requestsPerMinute: 5 }) })).toMatchObject({
      ok: false,
      retryInMs: null,
    });
  });

  it('keeps its holds and counts when the Wallet restarts', async () => {
    const { wallet, report } = await leasing();
    await report({ wantedSlack: allotment(4) });
    await evictDurableObject(wallet);
    expect(await wallet.load({ keyId: 'key_1', capPeriod: 'total' })).toMatchObject({ inFlight: 4 });
    const late = ended();
    await report({ ended: [late], admitted: 1 });
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 0 });
    expect(await wallet.load({ keyId: 'key_1', capPeriod: 'total' })).toMatchObject({ inFlight: 0 });
  });
});

describe('a lease whose isolate is lost', () => {
  it('charges what receipts prove, once, and releases the rest after the grace', async () => {
    const { wallet, leaseId, report } = await leasing();
    await report({ wantedSlack: allotment(4) });
    const streamed = {
      ...receiptOf(newId('req', Date.now()), 'node_a', usage(10, 0, 20)),
      ticket: ticketOf(leaseId, true),
    };
    const broken = {
      ...receiptOf(newId('req', Date.now()), 'node_a', usage(10, 0, 20), 'failed'),
      ticket: ticketOf(leaseId, false),
    };
    // The isolate may report within moments, so the node is to send the receipts again.
    expect(await wallet.reconcile([streamed, broken])).toEqual([streamed.requestId, broken.requestId]);
    passTime(3_000);
    expect(await wallet.reconcile([streamed, broken])).toEqual([]);
    expect(await wallet.request(streamed.requestId)).toBeNull();

    passTime(LEASE_MS);
    await runDurableObjectAlarm(wallet);
    expect(await wallet.request(streamed.requestId)).toMatchObject({
      state: 'expired',
      ending: 'settled_by_receipt',
      chargeNanoUsd: COST,
    });
    // Until the grace is over, another node's receipt may still prove output.
    expect(await wallet.request(broken.requestId)).toBeNull();
    const late = { ...streamed, requestId: newId('req', Date.now()) };
    await wallet.reconcile([streamed, late]);
    expect(await wallet.balance()).toMatchObject({ grantedNanoUsd: usd(1) - 2 * COST });

    passTime(601_000);
    await runDurableObjectAlarm(wallet);
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 0 });
    expect(await wallet.request(broken.requestId)).toMatchObject({ ending: 'unproved', chargeNanoUsd: 0 });
    const tooLate = { ...streamed, requestId: newId('req', Date.now()) };
    await wallet.reconcile([tooLate]);
    expect(await wallet.request(tooLate.requestId)).toMatchObject({ ending: 'unproved', chargeNanoUsd: 0 });
    expect(await wallet.balance()).toMatchObject({ grantedNanoUsd: usd(1) - 2 * COST });
  });

  it('is not waited for: a request that needs its slack is refused', async () => {
    const limits = limited({ concurrency: 40 });
    const { admit, report } = await leasing(usd(1), limits);
    await report({ wantedSlack: allotment(2) });
    const tight = { limits: limited({ concurrency: 2 }) };
    expect(await admit(tight)).toMatchObject({ ok: false, retryInMs: expect.any(Number) });
    passTime(3_000);
    expect(await admit(tight)).toMatchObject({ ok: false, retryInMs: null });
  });

  it('charges what its isolate reports, even if the node’s receipt came first', async () => {
    const { wallet, leaseId, report } = await leasing();
    await report({ wantedSlack: allotment(4) });
    const own = ended({ usage: usage(10, 0, 15), ending: 'client_gone' });
    const receipt = receiptOf(own.requestId, 'node_a', usage(10, 0, 20));
    passTime(3_000);
    await wallet.reconcile([{ ...receipt, ticket: ticketOf(leaseId, true) }]);
    expect(await wallet.receiptMatched(own.requestId)).toBeNull();
    await report({ ended: [own], admitted: 1 });
    expect(await wallet.receiptMatched(own.requestId)).toBe(true);
    expect(await wallet.request(own.requestId)).toMatchObject({
      state: 'posted',
      usage: { completionTokens: 15 },
    });
  });
});

describe('a request of a lease that its isolate has lost track of', () => {
  const lost = () => ended({ nodeId: null, ending: null, usage: null, ttftMs: null });

  it('gets a hold of its own, which its node’s receipt settles', async () => {
    const { wallet, leaseId, report } = await leasing();
    await report({ wantedSlack: allotment(4) });
    const own = lost();
    await report({ ended: [own], admitted: 2, running: allotment(1) });
    expect(await wallet.request(own.requestId)).toMatchObject({ state: 'held', heldNanoUsd: HOLD });
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 2 * HOLD });
    expect(await wallet.load({ keyId: 'key_1', capPeriod: 'total' })).toMatchObject({ inFlight: 2 });
    passTime(1);
    const receipt = receiptOf(own.requestId, 'node_a', usage(10, 0, 20));
    await wallet.reconcile([{ ...receipt, ticket: ticketOf(leaseId, true) }]);
    expect(await wallet.request(own.requestId)).toMatchObject({
      state: 'expired',
      ending: 'settled_by_receipt',
      chargeNanoUsd: COST,
    });
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: HOLD });
  });

  it('is charged once if its end is posted later, and costs nothing after the grace if it is not', async () => {
    const { wallet, report } = await leasing();
    await report({ wantedSlack: allotment(4) });
    const [late, never] = [lost(), lost()];
    await report({ ended: [late, never], admitted: 2, running: allotment(0) });
    const { requestId } = late;
    const posted = {
      requestId,
      nodeId: 'node_a',
      usage: usage(10, 0, 20),
      ending: 'finished',
      ttftMs: 5,
    } as const;
    expect(await wallet.post(posted)).toMatchObject({ state: 'posted', chargeNanoUsd: COST });
    passTime(601_000);
    await runDurableObjectAlarm(wallet);
    expect(await wallet.request(never.requestId)).toMatchObject({ ending: 'unproved', chargeNanoUsd: 0 });
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 0, grantedNanoUsd: usd(1) - COST });
  });
});

describe('requests that are settled together', () => {
  it('are one entry, which names the first and the last, and each has its own charge', async () => {
    const { wallet, report } = await leasing();
    await report({ wantedSlack: allotment(8) });
    const all = [ended(), ended({ usage: null, ending: 'not_served', nodeId: null }), ended(), ended()];
    await report({ ended: all, admitted: 4 });
    const { entries } = await wallet.ledger({ limit: 10 });
    expect(entries.map(({ kind }) => kind)).toEqual(['charge', 'grant']);
    const ids = [all[0]!, all[2]!, all[3]!].map(({ requestId }) => requestId).sort();
    expect(entries[0]).toMatchObject({ reference: `${ids[0]}..${ids[2]}`, grantedNanoUsd: -3 * COST });
    for (const id of ids)
      expect(await wallet.request(id)).toMatchObject({ chargeNanoUsd: COST, entrySeq: entries[0]!.seq });
  });

  it('are marked by the receipts of their nodes, once each, also after the Wallet restarts', async () => {
    const { accountId, wallet, report } = await leasing();
    await report({ wantedSlack: allotment(8) });
    const all = [ended(), ended(), ended()];
    await report({ ended: all, admitted: 3 });
    const receipts = all.map(({ requestId }) => receiptOf(requestId, 'node_a', usage(10, 0, 20), 'finished'));
    await wallet.reconcile(receipts.slice(0, 2));
    await evictDurableObject(wallet);
    await wallet.reconcile(receipts.slice(0, 2));
    expect(await wallet.receiptMatched(all[1]!.requestId)).toBe(true);
    expect(await wallet.receiptMatched(all[2]!.requestId)).toBe(false);
    await runDurableObjectAlarm(wallet);
    const counted = await env.DB.prepare(
      'SELECT witnessed_requests AS receipts FROM projection WHERE account_id = ?',
    )
      .bind(accountId)
      .first();
    expect(counted).toEqual({ receipts: 2 });
  });

  it('are compared one by one where a receipt differs, or where another node claims the answer', async () => {
    const { wallet, report } = await leasing();
    await report({ wantedSlack: allotment(8) });
    const all = [ended(), ended()];
    const [one, two] = all.map(({ requestId }) => requestId) as [string, string];
    await report({ ended: all, admitted: 2 });
    await wallet.reconcile([
      receiptOf(one, 'node_a', usage(10, 0, 25), 'finished'),
      receiptOf(two, 'node_b', usage(10, 0, 20), 'finished'),
      receiptOf(two, 'node_a', usage(10, 0, 20), 'finished'),
    ]);
    const items = (await waitingItems(wallet)).slice(2);
    expect(items).toMatchObject([
      { kind: 'receipt', writeOff: { completionTokens: 5, reason: 'undelivered' } },
      { kind: 'drift', drift: 'tokens', requestId: one },
      { kind: 'receipt', writeOff: { completionTokens: 20, reason: 'retried_elsewhere' } },
      { kind: 'drift', drift: 'double', requestId: two },
      { kind: 'witnessed', nodeId: 'node_a', receipts: 1 },
    ]);
  });

  it('report a charge without a receipt, and the receipt when it comes late', async () => {
    const { wallet, report } = await leasing();
    await report({ wantedSlack: allotment(8) });
    const only = ended();
    await report({ ended: [only], admitted: 1 });
    passTime(700_000);
    await runDurableObjectAlarm(wallet);
    const missing = () => database(env).select().from(drift).where(eq(drift.requestId, only.requestId)).get();
    expect(await missing()).toMatchObject({ kind: 'receipt_missing', resolvedAtMs: null });
    await wallet.reconcile([receiptOf(only.requestId, 'node_a', usage(10, 0, 20), 'finished')]);
    expect((await waitingItems(wallet)).at(-1)).toMatchObject({ kind: 'witnessed', late: [only.requestId] });
    await runDurableObjectAlarm(wallet);
    expect(await missing()).toMatchObject({ resolvedAtMs: expect.any(Number) });
  });
});

/** Outbox items that D1 does not have yet, notices left out. */
function waitingItems(
  wallet: Awaited<ReturnType<typeof walletWith>>['wallet'],
): Promise<Record<string, unknown>[]> {
  return runInDurableObject(wallet, (_, { storage: { sql } }) => {
    const rows = sql.exec<{ item: string }>('SELECT item FROM outbox ORDER BY seq').toArray();
    const items = rows.map(({ item }) => JSON.parse(item) as Record<string, unknown>);
    return items.filter(({ kind }) => kind !== 'notice');
  });
}
