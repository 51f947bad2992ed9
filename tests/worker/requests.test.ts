import { describe, expect, it } from 'vitest';
import { database } from '../../worker/db/client.ts';
import { listRequests } from '../../worker/db/requests.ts';
import { usageEvent } from '../../worker/db/schema.ts';
import type { Ending } from '../../worker/domain/hold.ts';
import { newId } from '../../worker/domain/ids.ts';
import { nanoUsd } from '../../worker/domain/money.ts';
import type { Usage } from '../../worker/domain/usage.ts';
import { formats } from '../../worker/portal/language/formats.ts';
import { MESSAGES } from '../../worker/portal/language/locale.ts';
import { operatorBrowser, textOf } from './operator-console.ts';
import { Browser } from './portal-browser.ts';
import { env, passTime, receiptOf, told, walletWith } from './wallet-fixtures.ts';

const { requests, usage: words } = MESSAGES.en;
const { one } = requests;
const db = database(env);

/** 10 × 140 + 20 × 550 + 100 × 2,190 = 231,400 nano-USD */
const USED: Usage = { promptTokens: 30, cachedTokens: 10, completionTokens: 100, reasoningTokens: 60 };
const CHARGE = 231_400;

/** A person with an account, its key, and its Wallet. */
async function customer(browser = new Browser()) {
  if (browser.cookies.size === 0) await browser.signUp();
  const page = await (await browser.get('/keys')).text();
  const keyId = /key_[0-9a-z]{26}/.exec(page)![0];
  const row = await env.DB.prepare('SELECT account_id FROM api_key WHERE id = ?').bind(keyId).first();
  const accountId = String(row!.account_id);
  return { browser, keyId, ...(await walletWith(nanoUsd(0), accountId)) };
}

type Customer = Awaited<ReturnType<typeof customer>>;

/** Ended requests in D1, the newest first, a second apart. */
async function ended(who: Customer, count: number, change: Partial<typeof usageEvent.$inferInsert> = {}) {
  const nowMs = Date.now();
  const rows = Array.from({ length: count }, (_, i) => ({
    requestId: newId('req', nowMs - i * 1_000),
    accountId: who.accountId,
    keyId: who.keyId,
    modelId: 'deepseek-r1-0528',
    nodeId: 'node_a',
    admittedAtMs: nowMs - i * 1_000,
    endedAtMs: nowMs - i * 1_000 + 500,
    state: 'posted' as const,
    ending: 'finished' as Ending,
    stream: true,
    ...USED,
    priceId: 'deepseek-r1-0528/standard/1',
    chargeNanoUsd: CHARGE,
    entrySeq: i + 2,
    ttftMs: 450,
    ...change,
  }));
  for (const row of rows) await db.insert(usageEvent).values(row);
  return rows.map(({ requestId }) => requestId);
}

const shownIn = (html: string) =>
  [...html.matchAll(/\/requests\/(req_[0-9a-z]{26})"/g)].map((hit) => hit[1]!);
const olderIn = (html: string) =>
  /href="(\/requests\?[^"]*before=[^"]+)"/.exec(html)?.[1]?.replaceAll('&amp;', '&');

describe('the list of requests', () => {
  it('shows time, key, model, ending, first token, tokens by kind and charge', async () => {
    const who = await customer();
    const [id] = await ended(who, 1);
    const text = await textOf(who.browser.get('/requests'));
    const when = formats('en').date(Date.now());
    const rest = `First key deepseek-r1-0528 ${words.endings.finished} 0.000231400 450 ms 10 20 60 40`;
    expect(text).toMatch(new RegExp(`${id} ${when}, [\\d:]{8} ${rest}`));
  });

  it('pages through all, newest first, each once, also where two began at the same instant', async () => {
    const who = await customer();
    const admittedAtMs = Date.now() - 60_000;
    const ids = [...(await ended(who, 30)), ...(await ended(who, 27, { admittedAtMs })).toSorted().reverse()];
    const seen: string[] = [];
    let path: string | undefined = '/requests?period=7d';
    while (path) {
      const html = await (await who.browser.get(path)).text();
      seen.push(...shownIn(html));
      path = olderIn(html);
      if (path) expect(path).toContain('period=7d');
    }
    expect(seen).toEqual(ids);
  });

  it('filters by key, model, ending and period', async () => {
    const who = await customer();
    const [plain] = await ended(who, 1);
    const [otherKey] = await ended(who, 1, { keyId: 'key_other' });
    const [otherModel] = await ended(who, 1, { modelId: 'deepseek-v3-0324' });
    const [cut] = await ended(who, 1, { ending: 'out_of_credit' });
    const [old] = await ended(who, 1, { admittedAtMs: Date.now() - 40 * 86_400_000 });
    const shown = async (query: string) =>
      new Set(shownIn(await (await who.browser.get(`/requests?${query}`)).text()));
    expect(await shown('')).toEqual(new Set([plain, otherKey, otherModel, cut]));
    expect(await shown('key=key_other')).toEqual(new Set([otherKey]));
    expect(await shown('model=deepseek-v3-0324')).toEqual(new Set([otherModel]));
    expect(await shown('ending=out_of_credit')).toEqual(new Set([cut]));
    expect(await shown('period=all')).toEqual(new Set([plain, otherKey, otherModel, cut, old]));
    expect(await shown(`key=${who.keyId}&ending=finished&model=deepseek-r1-0528`)).toEqual(new Set([plain]));
    expect(await shown('period=never&ending=none&before=1.x')).toEqual(
      new Set([plain, otherKey, otherModel, cut]),
    );
  });

  it('says that there are none, and does not know those of another account', async () => {
    const who = await customer();
    await ended(who, 1);
    const stranger = await customer();
    expect(await textOf(stranger.browser.get('/requests'))).toContain(requests.none);
    const query = `/requests?period=all&key=${who.keyId}`;
    expect(shownIn(await (await stranger.browser.get(query)).text())).toEqual([]);
  });

  it('looks through so many at most, and goes on where it stopped', async () => {
    const who = await customer();
    await ended(who, 25);
    const [rare] = await ended(who, 1, { keyId: 'key_rare', admittedAtMs: Date.now() - 3_600_000 });
    const filter = {
      accountId: who.accountId,
      fromMs: 0,
      before: null,
      keyId: 'key_rare',
      modelId: null,
      ending: null,
      limit: 10,
    };
    const first = await listRequests(db, filter, 25);
    expect(first.rows).toEqual([]);
    expect(first.next).not.toBeNull();
    const second = await listRequests(db, { ...filter, before: first.next }, 25);
    expect(second.rows.map(({ requestId }) => requestId)).toEqual([rare]);
    expect(second.next).toBeNull();
  });

  it('is read from the index of the account’s requests, in its order', async () => {
    const who = await customer();
    const plans = await plansOf(() =>
      listRequests(db, {
        accountId: who.accountId,
        fromMs: 0,
        before: { admittedAtMs: 5, requestId: 'req_x' },
        keyId: 'key_1',
        modelId: null,
        ending: null,
        limit: 25,
      }),
    );
    expect(plans.length).toBeGreaterThan(0);
    for (const plan of plans) {
      expect(plan).toMatch(
        /SEARCH usage_event USING (COVERING )?INDEX usage_event_by_account \(account_id=\? AND \(?admitted_at_ms/,
      );
      expect(plan).not.toMatch(/SCAN usage_event\b/);
    }
  });
});

/** How SQLite would run each statement that `work` sends in a batch. */
async function plansOf(work: () => Promise<unknown>): Promise<string[]> {
  const sent: { sql: string; params: unknown[] }[] = [];
  const logged = Object.getPrototypeOf(env.DB) as D1Database;
  const prepare = logged.prepare;
  logged.prepare = function (this: D1Database, query: string) {
    const statement = prepare.call(this, query);
    const bind = statement.bind.bind(statement);
    statement.bind = (...params: unknown[]) => {
      sent.push({ sql: query, params });
      return bind(...params);
    };
    return statement;
  };
  try {
    await work();
  } finally {
    logged.prepare = prepare;
  }
  return Promise.all(
    sent.map(async ({ sql, params }) => {
      const rows = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .bind(...params)
        .all<{ detail: string }>();
      return rows.results.map(({ detail }) => detail).join('\n');
    }),
  );
}

describe('the page of a request', () => {
  it('shows the arithmetic to the nano-USD, there before D1 has heard of it', async () => {
    const who = await customer();
    const id = await who.charge(USED, { keyId: who.keyId });
    const text = await textOf(who.browser.get(`/requests/${id}`));
    for (const line of [
      `${one.lines.cached} 10 × 140 1,400`,
      `${one.lines.uncached} 20 × 550 11,000`,
      `${one.lines.output} 100 × 2,190 219,000`,
      `${one.sum} $0.0002314 231,400`,
      `${one.kinds.reasoning} 60 ${one.kinds.answer} 40`,
      'deepseek-r1-0528/standard/1',
      one.priceFrom('20 Jan 2025, 00:00'),
      words.endings.finished,
      'First key',
      one.noReceipts,
    ]) {
      expect(text).toContain(line);
    }
    const json = await env.DB.prepare('select * from usage_event where request_id = ?').bind(id).first();
    expect(json).toBeNull();
  });

  it('names the ledger entry with its hash, and leads to it', async () => {
    const who = await customer();
    const id = await who.charge(USED);
    const { entries } = await who.wallet.ledger({ limit: 1 });
    const html = await (await who.browser.get(`/requests/${id}`)).text();
    expect(html).toContain(entries[0]!.hash);
    expect(html).toContain(`/billing?before=${entries[0]!.seq + 1}#ledger`);
    const ledger = await (await who.browser.get(`/billing?before=${entries[0]!.seq + 1}`)).text();
    expect(ledger).toContain(id);
  });

  it('shows what nodes counted, and what was billed to nobody and why', async () => {
    const who = await customer();
    const id = await who.charge(USED);
    const counted = { ...USED, completionTokens: 120 };
    await who.wallet.reconcile([
      receiptOf(id, 'node_a', USED, 'finished'),
      receiptOf(id, 'node_b', counted, 'aborted'),
    ]);
    await told(who.wallet);
    const text = await textOf(who.browser.get(`/requests/${id}`));
    expect(text).toMatch(/node_a .{15,30} finished 30 100 0 all billed/);
    expect(text).toMatch(/node_b .{15,30} stopped 30 120 150 another attempt was billed/);
  });

  it('shows what is held while it runs', async () => {
    const who = await customer();
    const requestId = newId('req', Date.now());
    await who.admit({ requestId, hold: { wantedNanoUsd: nanoUsd(1_234_567), leastNanoUsd: nanoUsd(1) } });
    const text = await textOf(who.browser.get(`/requests/${requestId}`));
    expect(text).toContain(one.runningNote('$0.001234567'));
    expect(text).not.toContain(one.noEntry);
  });

  it('shows what was given back of a retry', async () => {
    const who = await customer();
    const work = (requestId: string) => ({ lookup: 'order-1', fingerprint: 'f', requestId });
    for (const completionTokens of [50, 100]) {
      const requestId = newId('req', Date.now());
      await who.wallet.begin(work(requestId));
      await who.admit({ requestId });
      await who.wallet.post({
        requestId,
        nodeId: 'node_a',
        usage: { ...USED, completionTokens, reasoningTokens: 0 },
        ending: 'node_failed',
        ttftMs: 1,
      });
      await who.wallet.abandon(work(requestId));
      const text = await textOf(who.browser.get(`/requests/${requestId}`));
      if (completionTokens === 50) expect(text).not.toContain(one.given);
      // the first run had cost 121,900
      else expect(text).toContain(`${one.givenLine} -$0.0001219 -121,900 ${one.paid} $0.0001095 109,500`);
    }
  });

  it('says that a request that gave nothing costs nothing', async () => {
    const who = await customer();
    const requestId = newId('req', Date.now());
    await who.admit({ requestId });
    await who.wallet.void({ requestId, nodeId: null, ending: 'not_served' });
    const text = await textOf(who.browser.get(`/requests/${requestId}`));
    expect(text).toContain(one.noEntry);
    expect(text).toContain(`${one.sum} $0.00 0`);
  });

  it('is there when the Wallet has forgotten the request', async () => {
    const who = await customer();
    const id = await who.charge(USED);
    await told(who.wallet);
    passTime(25 * 3_600_000);
    await told(who.wallet);
    await told(who.wallet);
    expect(await who.wallet.request(id)).toBeNull();
    expect(await textOf(who.browser.get(`/requests/${id}`))).toContain(`${one.sum} $0.0002314 231,400`);
  });

  it('does not exist for another account, nor for what is no id', async () => {
    const who = await customer();
    const id = await who.charge(USED);
    await told(who.wallet);
    const stranger = await customer();
    for (const path of [id, newId('req', Date.now()), 'req_x', '../../etc', '%00']) {
      expect((await stranger.browser.get(`/requests/${path}`)).status).toBe(404);
    }
    const answer = await new Browser().get(`/requests/${id}`);
    expect(answer.headers.get('location')).toContain('/sign-in');
  });

  it('names the node for operators, who see any account’s', async () => {
    const nodeId = newId('node', Date.now());
    await env.DB.prepare(
      `INSERT INTO node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, enrolled_at_ms)
       VALUES (?, 'h800-7', 'deepseek-r1-0528', '8xh200', 'https://x.test', ?, 1, '0.5.20', 'w', 1)`,
    )
      .bind(nodeId, nodeId)
      .run();
    const who = await customer();
    const requestId = newId('req', Date.now());
    await who.admit({ requestId });
    await who.wallet.post({ requestId, nodeId, usage: USED, ending: 'finished', ttftMs: 1 });
    const own = await textOf(who.browser.get(`/requests/${requestId}`));
    expect(own).toContain(nodeId);
    expect(own).not.toContain('h800-7');

    const path = `/operator/accounts/${who.accountId}/requests/${requestId}`;
    const console = await operatorBrowser();
    expect(await textOf(console.get(path))).toContain('h800-7');
    expect((await console.get(`/requests/${requestId}`)).status).toBe(404);
    expect((await who.browser.get(path)).status).toBe(404);
  });
});
