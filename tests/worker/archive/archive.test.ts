/** Requests and ledger entries of past months move from D1 to R2: whole, once, and whatever breaks in between. */
import { beforeEach, describe, expect, it } from 'vitest';
import { keptFrom, PARTS_A_RUN } from '../../../worker/archive/archive.ts';
import { listAllBuckets } from '../../../worker/archive/buckets.ts';
import { archiveState } from '../../../worker/db/archive-run.ts';
import { database } from '../../../worker/db/client.ts';
import { project } from '../../../worker/db/projection.ts';
import { newId } from '../../../worker/domain/ids.ts';
import type { Env } from '../../../worker/env.ts';
import { env, publish, receiptOf, usage } from '../wallet/fixtures.ts';
import {
  countOf,
  customerWithPast,
  DUE,
  DUE_ENTRIES,
  exported,
  HOUR_MS,
  listedIds,
  NOW,
  nextTime,
  objectsOf,
  requestAt,
  run,
  runAll,
  smallPast,
} from './fixtures.ts';

let accountId: string;
let requestIds: string[];

beforeEach(async () => {
  ({ accountId, requestIds } = await customerWithPast());
});

/** All requests and entries are there once, whether D1 or R2 has them. */
async function expectWhole(): Promise<void> {
  expect(await listedIds(accountId)).toEqual([...requestIds].reverse());
  expect((await exported(accountId, 'request')).map((row) => row.requestId)).toEqual(requestIds);
  const seqs = (await exported(accountId, 'ledger_entry')).map((row) => row.seq);
  expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, at) => at + 1));
  expect(seqs.length).toBeGreaterThanOrEqual(requestIds.length);
}

describe('archiving', () => {
  it('keeps the months of the last 90 days', () => {
    expect(new Date(keptFrom(NOW)).toISOString()).toBe('2026-09-01T00:00:00.000Z');
    expect(new Date(keptFrom(Date.UTC(2026, 2, 31))).toISOString()).toBe('2025-12-01T00:00:00.000Z');
  });

  it('moves older months, a part a month and kind, and leaves their receipts and charges out of D1', async () => {
    const before = { entries: await countOf('ledger_entry', accountId) };
    await runAll();
    const { results } = await env.DB.prepare(
      'SELECT kind, month, rows FROM archive_part WHERE account_id = ? ORDER BY kind, seq',
    )
      .bind(accountId)
      .all();
    expect(results).toEqual([
      { kind: 'ledger', month: '2026-06', rows: DUE_ENTRIES - 2 },
      { kind: 'ledger', month: '2026-07', rows: 2 },
      { kind: 'requests', month: '2026-06', rows: DUE - 2 },
      { kind: 'requests', month: '2026-07', rows: 2 },
    ]);
    expect(await countOf('usage_event', accountId)).toBe(requestIds.length - DUE);
    expect(await countOf('ledger_entry', accountId)).toBe(before.entries - DUE);
    expect(await countOf('node_receipt', accountId)).toBe(0);
    const [grant] = (
      await env.DB.prepare('SELECT kind FROM ledger_entry WHERE account_id = ? AND seq = 1')
        .bind(accountId)
        .all()
    ).results;
    expect(grant).toEqual({ kind: 'grant' });
    await expectWhole();
    const { stored, named } = await objectsOf(accountId);
    expect(stored).toEqual(named);
  });

  it('writes gzipped JSONL that begins with a header', async () => {
    await runAll();
    const { named } = await objectsOf(accountId);
    const key = named.find((each) => each.includes('/requests/2026-06/'))!;
    const object = await env.ARCHIVE.get(key);
    const text = await new Response(object!.body.pipeThrough(new DecompressionStream('gzip'))).text();
    const [header, ...lines] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(header).toMatchObject({
      archive: 'tollgate',
      version: 1,
      kind: 'requests',
      account: accountId,
      part: 1,
      month: '2026-06',
      firstKey: requestIds[0],
      lastKey: requestIds[2],
      rows: 3,
      previous: '0'.repeat(64),
    });
    expect(header.sumNanoUsd).toBe(lines.reduce((sum, line) => sum + line.chargeNanoUsd, 0));
    expect(lines[1].receipts).toMatchObject([{ nodeId: 'node_a', completionTokens: 23 }]);
  });

  it('archives four parts a run at most, and no more rows a part than it may', async () => {
    const before = await countOf('usage_event', accountId);
    expect(await run(env, { rowsMax: 1 })).toBe(PARTS_A_RUN);
    expect(await countOf('usage_event', accountId)).toBe(before - PARTS_A_RUN);
    await expectWhole();
    await run(env, { rowsMax: 1 });
    expect(await countOf('usage_event', accountId)).toBe(before - DUE);
    await expectWhole();
  });

  it('is done once, however often and by however many at once', async () => {
    const nowMs = nextTime();
    const parts = await Promise.all([1, 2, 3].map(() => run(env, { nowMs })));
    expect(parts.filter((count) => count > 0)).toHaveLength(1);
    await runAll();
    await expectWhole();
    const before = await objectsOf(accountId);
    expect(await runAll()).toEqual([0]);
    expect(await objectsOf(accountId)).toEqual(before);
  });

  it('changes no usage of a range, though its ends cut hours that are archived', async () => {
    const cuts = [Date.UTC(2026, 5, 9), Date.UTC(2026, 5, 10, 0, 0, 30), Date.UTC(2026, 6, 5, 0, 0, 1), NOW];
    const usage = () =>
      Promise.all(
        cuts.slice(1).flatMap((toMs, at) =>
          (['hour', 'day'] as const).map(async (width) => {
            const range = { accountId, width, fromMs: cuts[at]!, toMs, nowMs: NOW, limit: 100 };
            const all = { keyId: null, modelId: null, byKey: true, byModel: false, after: null };
            const rows = await listAllBuckets(env, { ...range, ...all });
            return rows.map(({ bucketMs, keyId, requests }) => [bucketMs, keyId, requests]);
          }),
        ),
      );
    const before = await usage();
    expect(before.flat().reduce((sum, [, , requests]) => sum + Number(requests), 0)).toBe(
      2 * requestIds.length,
    );
    await runAll();
    expect(await usage()).toEqual(before);
  });

  it('rests for an hour after a pass', async () => {
    await runAll();
    const state = await archiveState(database(env));
    expect(state.run).toMatchObject({ token: null, failures: 0, passedFailures: 0, afterAccountId: '' });
    expect(state.run.restUntilMs).toBe(state.run.passedAtMs! + HOUR_MS);
    expect(state.databaseBytes).toBeGreaterThan(0);
  });
});

describe('a request that arrives after its month was archived', () => {
  it('becomes a part of its own, and is listed in its place', async () => {
    await runAll();
    const late = requestAt(Date.UTC(2026, 5, 15));
    await project(database(env), accountId, [
      { seq: 1_000, item: { kind: 'usage', accountId, requests: [late] } },
    ]);
    requestIds = [...requestIds, late.requestId].sort();
    expect(await listedIds(accountId)).toEqual([...requestIds].reverse());
    await runAll();
    expect(await countOf('usage_event', accountId)).toBe(requestIds.length - DUE - 1);
    for (const limit of [1, 2, 3, 50])
      expect(await listedIds(accountId, limit)).toEqual([...requestIds].reverse());
    expect((await exported(accountId, 'request')).map((row) => row.requestId).sort()).toEqual(requestIds);
  });
});

describe('a receipt that comes after its request was archived', () => {
  const rows = async () =>
    (
      await env.DB.prepare(
        'SELECT request_id, node_id, write_off_reason FROM node_receipt WHERE account_id = ? ORDER BY node_id',
      )
        .bind(accountId)
        .all()
    ).results;

  it('is compared with the archived request, and says nothing new when it was there already', async () => {
    await runAll();
    const wallet = env.WALLET.getByName(accountId);
    const [first, second] = requestIds;
    await wallet.reconcile([
      receiptOf(second!, 'node_a', usage(101, 10, 23)),
      receiptOf(first!, 'node_a', usage(100, 10, 20), 'finished'),
      receiptOf(first!, 'node_b', usage(100, 10, 7)),
    ]);
    await publish(wallet);
    // The first is stored in the archive, and the request of the second was missed: a late one that agrees.
    expect(await rows()).toEqual([
      { request_id: first, node_id: 'node_a', write_off_reason: null },
      { request_id: first, node_id: 'node_b', write_off_reason: 'retried_elsewhere' },
    ]);
    await expectWhole();
  });

  it('holds up nothing when its part cannot be read', async () => {
    await runAll();
    for (const key of (await objectsOf(accountId)).named) await env.ARCHIVE.delete(key);
    const wallet = env.WALLET.getByName(accountId);
    await wallet.reconcile([receiptOf(requestIds[0]!, 'node_b', usage(100, 10, 7))]);
    await publish(wallet);
    expect(await rows()).toMatchObject([{ node_id: 'node_b', write_off_reason: 'unknown_request' }]);
  });
});

describe('a crash', () => {
  /** The calls to D1 and R2 of one run that archives everything, one after the other. */
  class Death {
    calls = 0;
    readonly at: number;
    readonly isCarriedOut: boolean;

    /** @param isCarriedOut whether the last call is carried out, though its answer does not arrive */
    constructor(at: number, isCarriedOut: boolean) {
      this.at = at;
      this.isCarriedOut = isCarriedOut;
    }

    async call<T>(carryOut: () => Promise<T>): Promise<T> {
      this.calls += 1;
      if (this.calls < this.at) return carryOut();
      if (this.calls === this.at && this.isCarriedOut) await carryOut();
      throw new Error('the isolate is gone');
    }
  }

  function dying(death: Death): Env {
    const bound = <T extends object>(target: T, names: readonly string[]): T =>
      new Proxy(target, {
        get(_, name) {
          const value = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          if (!names.includes(String(name))) return value.bind(target);
          return (...args: unknown[]) => death.call(() => value.apply(target, args));
        },
      });
    const statement = (prepared: D1PreparedStatement): D1PreparedStatement =>
      new Proxy(prepared, {
        get(_, name) {
          if (name === 'raw_') return prepared;
          const value = Reflect.get(prepared, name);
          if (typeof value !== 'function') return value;
          if (name === 'bind') return (...values: unknown[]) => statement(prepared.bind(...values));
          return (...args: unknown[]) => death.call(() => value.apply(prepared, args));
        },
      });
    const DB = new Proxy(env.DB, {
      get(_, name) {
        if (name === 'prepare') return (sql: string) => statement(env.DB.prepare(sql));
        if (name === 'batch')
          return (statements: D1PreparedStatement[]) =>
            death.call(() =>
              env.DB.batch(statements.map((each) => (each as unknown as { raw_: D1PreparedStatement }).raw_)),
            );
        return Reflect.get(env.DB, name);
      },
    });
    return { ...env, DB, ARCHIVE: bound(env.ARCHIVE, ['get', 'put', 'delete']) };
  }

  it.each([true, false])(
    'after any call loses nothing, counts nothing twice and leaves no object behind (answer lost: %s)',
    async (isCarriedOut) => {
      for (let at = 1; ; at++) {
        accountId = newId('acct', Date.now());
        requestIds = await smallPast(accountId);
        const death = new Death(at, isCarriedOut);
        const survived = await run(dying(death)).then(
          () => death.calls < at,
          () => false,
        );
        await expectWhole();
        await runAll();
        expect(await countOf('usage_event', accountId)).toBe(0);
        await expectWhole();
        const { stored, named } = await objectsOf(accountId);
        expect(stored).toEqual(named);
        expect(named).toHaveLength(2);
        if (!survived) continue;
        // Each of the two parts alone takes six calls.
        expect(at).toBeGreaterThan(12);
        return;
      }
    },
  );
});

describe('a failure', () => {
  it('of one account is kept for the operator, and the others are archived', async () => {
    const other = await customerWithPast(newId('acct', Date.now() + 1_000_000));
    const bucket = new Proxy(env.ARCHIVE, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (name !== 'put') return value.bind(target);
        return (key: string, ...rest: unknown[]) => {
          if (key.startsWith(accountId)) throw new Error('no');
          return value.call(target, key, ...rest);
        };
      },
    });
    const failing = { ...env, ARCHIVE: bucket };
    for (let runs = 0; runs < 5; runs++) await run(failing);
    expect(await countOf('usage_event', accountId)).toBe(requestIds.length);
    expect(await countOf('usage_event', other.accountId)).toBe(other.requestIds.length - DUE);
    const { run: state } = await archiveState(database(env));
    expect(state.failedAccountId).toBe(accountId);
    expect(state.failures + state.passedFailures).toBeGreaterThan(0);
    for (let runs = 0; runs < 2; runs++) await runAll();
    expect((await archiveState(database(env))).run).toMatchObject({ failures: 0, passedFailures: 0 });
    await expectWhole();
  });

  it('to read back what was written leaves the rows in D1', async () => {
    const bucket = new Proxy(env.ARCHIVE, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (name !== 'get') return value.bind(target);
        return async (key: string) => {
          const altered = await new Response(
            new Blob(['something else']).stream().pipeThrough(new CompressionStream('gzip')),
          ).arrayBuffer();
          await target.put(key, altered);
          return target.get(key);
        };
      },
    });
    expect(await run({ ...env, ARCHIVE: bucket })).toBe(0);
    expect(await countOf('usage_event', accountId)).toBe(requestIds.length);
    await runAll();
    await expectWhole();
  });

  it('leaves no object behind, even when the next part has other rows', async () => {
    const broken = new Proxy(env.ARCHIVE, {
      get(target, name) {
        if (name === 'get') return () => Promise.reject(new Error('no'));
        return Reflect.get(target, name).bind(target);
      },
    });
    // Runs until one has come to this account and has died of it, with its object in R2.
    const isLeft = async () => (await objectsOf(accountId)).stored.length === 1;
    for (let runs = 0; runs < 10 && !(await isLeft()); runs++) await run({ ...env, ARCHIVE: broken });
    expect(await isLeft()).toBe(true);
    const late = requestAt(Date.UTC(2026, 5, 15));
    await project(database(env), accountId, [
      { seq: 1_000, item: { kind: 'usage', accountId, requests: [late] } },
    ]);
    requestIds = [...requestIds, late.requestId].sort();
    for (let runs = 0; runs < 2; runs++) await runAll();
    const { stored, named } = await objectsOf(accountId);
    expect(stored).toEqual(named);
    expect(named).toHaveLength(4);
    await expectWhole();
  });

  it('of a ledger with a gap archives none of it', async () => {
    await env.DB.prepare('DROP TRIGGER ledger_entry_keeps_all_rows').run();
    await env.DB.prepare('DELETE FROM ledger_entry WHERE account_id = ? AND seq = 3').bind(accountId).run();
    await runAll();
    const { named } = await objectsOf(accountId);
    expect(named.filter((key) => key.includes('/ledger/'))).toEqual([]);
    expect((await archiveState(database(env))).run.failure).toMatch(/lacks entries/);
  });
});
