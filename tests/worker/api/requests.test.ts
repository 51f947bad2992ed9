/** The portal's list of requests and the page of one request. */
import { runInDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { type EntryRequests, listRequests } from '../../../worker/db/requests.ts';
import { usageEvent } from '../../../worker/db/schema.ts';
import type { Ending } from '../../../worker/domain/hold.ts';
import { newId, timeOfId } from '../../../worker/domain/ids.ts';
import { chargeReference } from '../../../worker/domain/ledger.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import type { Usage } from '../../../worker/domain/usage.ts';
import { formats } from '../../../worker/i18n/formats.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { Browser } from '../portal/browser.ts';
import { operatorBrowser, textOf } from '../portal/operator/console.ts';
import { env, passTime, publish, receiptOf, walletWith } from '../wallet/fixtures.ts';

const { requests, usage: words } = MESSAGES.en;
const { one } = requests;
const db = database(env);

/** 10 × 140 + 20 × 550 + 100 × 2,190 = 231,400 nano-USD */
const USED: Usage = { promptTokens: 30, cachedTokens: 10, completionTokens: 100, reasoningTokens: 60 };
const CHARGE = 231_400;

/** A person with an account and its key. */
async function newPerson() {
  const browser = new Browser();
  await browser.signUpConfirmed();
  const page = await (await browser.get('/keys')).text();
  const keyId = /key_[0-9a-z]{26}/.exec(page)![0];
  const row = await env.DB.prepare('SELECT account_id FROM api_key WHERE id = ?').bind(keyId).first();
  const accountId = String(row!.account_id);
  return { browser, keyId, accountId };
}

/** Such a person, with the account's Wallet. */
async function newCustomer() {
  const customer = await newPerson();
  return { ...customer, ...(await walletWith(nanoUsd(0), customer.accountId)) };
}

type Customer = Awaited<ReturnType<typeof newPerson>>;

/** Ended requests in D1, the newest first, a second apart. */
async function ended(
  customer: Customer,
  count: number,
  change: Partial<typeof usageEvent.$inferInsert> = {},
) {
  const nowMs = Date.now();
  const rows = Array.from({ length: count }, (_, i) => ({
    requestId: newId('req', nowMs - i * 1_000),
    accountId: customer.accountId,
    keyId: customer.keyId,
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
    const customer = await newCustomer();
    const [id] = await ended(customer, 1);
    const text = await textOf(customer.browser.get('/requests'));
    const when = formats('en').date(Date.now());
    const rest = `First key deepseek-r1-0528 ${words.endings.finished} 0.000231400 450 ms 10 20 60 40`;
    expect(text).toMatch(new RegExp(`${id} ${when}, [\\d:]{8} ${rest}`));
  });

  it('pages through all requests, newest first, each once, even if several started at the same instant', async () => {
    const customer = await newCustomer();
    const admittedAtMs = Date.now() - 60_000;
    const all = [...(await ended(customer, 30)), ...(await ended(customer, 27, { admittedAtMs }))];
    const ids = all.toSorted().reverse();
    const seen: string[] = [];
    let path: string | undefined = '/requests?period=7d';
    while (path) {
      const html = await (await customer.browser.get(path)).text();
      seen.push(...shownIn(html));
      path = olderIn(html);
      if (path) expect(path).toContain('period=7d');
    }
    expect(seen).toEqual(ids);
  });

  it('filters by key, model, ending and period', async () => {
    const customer = await newCustomer();
    const [plain] = await ended(customer, 1);
    const [otherKey] = await ended(customer, 1, { keyId: 'key_other' });
    const [otherModel] = await ended(customer, 1, { modelId: 'deepseek-v3-0324' });
    const [cut] = await ended(customer, 1, { ending: 'out_of_credit' });
    const [old] = await ended(customer, 1, { admittedAtMs: Date.now() - 40 * 86_400_000 });
    const shown = async (query: string) =>
      new Set(shownIn(await (await customer.browser.get(`/requests?${query}`)).text()));
    expect(await shown('')).toEqual(new Set([plain, otherKey, otherModel, cut]));
    expect(await shown('key=key_other')).toEqual(new Set([otherKey]));
    expect(await shown('model=deepseek-v3-0324')).toEqual(new Set([otherModel]));
    expect(await shown('ending=out_of_credit')).toEqual(new Set([cut]));
    expect(await shown('period=all')).toEqual(new Set([plain, otherKey, otherModel, cut, old]));
    expect(await shown(`key=${customer.keyId}&ending=finished&model=deepseek-r1-0528`)).toEqual(
      new Set([plain]),
    );
    expect(await shown('period=never&ending=none&before=1.x')).toEqual(
      new Set([plain, otherKey, otherModel, cut]),
    );
  });

  it('shows when there are none, and never shows those of another account', async () => {
    const customer = await newCustomer();
    await ended(customer, 1);
    const stranger = await newCustomer();
    expect(await textOf(stranger.browser.get('/requests'))).toContain(requests.none);
    const query = `/requests?period=all&key=${customer.keyId}`;
    expect(shownIn(await (await stranger.browser.get(query)).text())).toEqual([]);
  });

  it('reads a limited number of rows per page, and continues where it stopped', async () => {
    const customer = await newCustomer();
    await ended(customer, 25);
    const admittedAtMs = Date.now() - 3_600_000;
    const requestId = newId('req', admittedAtMs);
    const [rare] = await ended(customer, 1, { keyId: 'key_rare', admittedAtMs, requestId });
    const filter = {
      accountId: customer.accountId,
      fromMs: 0,
      before: null,
      keyId: 'key_rare',
      modelId: null,
      ending: null,
      entry: null,
      limit: 10,
    };
    const first = await listRequests(db, filter, 25);
    expect(first.rows).toEqual([]);
    expect(first.next).not.toBeNull();
    const second = await listRequests(db, { ...filter, before: first.next }, 25);
    expect(second.rows.map(({ requestId }) => requestId)).toEqual([rare]);
    expect(second.next).toBeNull();
  });

  it('accepts page links of the old form, which also had the time', async () => {
    const customer = await newCustomer();
    const [, second, third] = await ended(customer, 3);
    const shown = shownIn(
      await (await customer.browser.get(`/requests?before=${Date.now()}.${second}`)).text(),
    );
    expect(shown).toEqual([third]);
  });

  it('is read by the primary key, in its order', async () => {
    const customer = await newCustomer();
    const list = (entry: EntryRequests | null) =>
      listRequests(db, {
        accountId: customer.accountId,
        fromMs: 0,
        before: 'req_x',
        keyId: 'key_1',
        modelId: null,
        ending: null,
        entry,
        limit: 25,
      });
    const plans = await plansOf(async () => {
      for (const entry of [null, { seq: 2, first: 'req_a', last: 'req_y' }]) await list(entry);
    });
    const ofArchive = plans.filter((plan) => plan.includes('archive_part'));
    expect(ofArchive).toHaveLength(2);
    for (const plan of ofArchive) expect(plan).toMatch(/SEARCH archive_part USING INDEX archive_part_by_key/);
    const ofRequests = plans.filter((plan) => !plan.includes('archive_part'));
    expect(ofRequests).toHaveLength(4);
    for (const plan of ofRequests) {
      expect(plan).toMatch(
        /SEARCH usage_event USING PRIMARY KEY \(account_id=\? AND request_id>\? AND request_id</,
      );
      expect(plan).not.toMatch(/SCAN usage_event\b/);
    }
  });
});

describe('the requests of a ledger entry', () => {
  /** Ended requests that one ledger entry has charged together, and another one that a different entry has charged. */
  async function chargedTogether() {
    const customer = await newPerson();
    const [first, ...others] = await ended(customer, 3, { entrySeq: 2 });
    const ids = [first!, ...others];
    await ended(customer, 1, { entrySeq: 9 });
    const reference = chargeReference(ids);
    const entry = {
      seq: 2,
      atMs: Date.now(),
      kind: 'charge',
      reference,
      grantedNanoUsd: nanoUsd(-3 * CHARGE),
      paidNanoUsd: nanoUsd(0),
      balanceNanoUsd: nanoUsd(0),
      hash: 'f'.repeat(64),
    };
    await runInDurableObject(env.WALLET.getByName(customer.accountId), (_, state) => {
      const head = state.storage.sql.exec<{ n: number }>('SELECT max(seq) AS n FROM entry').one().n;
      entry.seq = head + 1;
      state.storage.sql.exec(
        `INSERT INTO entry (seq, at_ms, kind, granted_nano_usd, paid_nano_usd, balance_nano_usd, reference, hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        entry.seq,
        entry.atMs,
        entry.kind,
        entry.grantedNanoUsd,
        entry.paidNanoUsd,
        entry.balanceNanoUsd,
        reference,
        entry.hash,
      );
    });
    await env.DB.prepare('UPDATE usage_event SET entry_seq = ? WHERE account_id = ? AND entry_seq = 2')
      .bind(entry.seq, customer.accountId)
      .run();
    return { customer, ids, entry };
  }

  it('are a list of their own, newest first, with their total charge', async () => {
    const { customer, ids, entry } = await chargedTogether();
    const path = `/requests?entry=${entry.seq}`;
    expect(shownIn(await (await customer.browser.get(path)).text())).toEqual(ids);
    const text = await textOf(customer.browser.get(path));
    expect(text).toContain(requests.ofEntryTitle(String(entry.seq)));
    expect(text).toContain(requests.ofEntryLead('$0.0006942'));
  });

  it('are linked from the ledger and from each of them', async () => {
    const { customer, ids, entry } = await chargedTogether();
    const span = requests.span(
      formats('en').clock(timeOfId(ids.at(-1)!)),
      formats('en').clock(timeOfId(ids[0]!)),
    );
    for (const path of ['/billing', `/requests/${ids[1]}`]) {
      const html = await (await customer.browser.get(path)).text();
      expect(html).toContain(`href="/requests?entry=${entry.seq}"`);
      expect(html).toContain(span);
    }
  });

  it('are 404 for an entry that charged nothing or does not exist', async () => {
    const { customer, entry } = await chargedTogether();
    for (const seq of [1, entry.seq + 1, 999]) {
      expect((await customer.browser.get(`/requests?entry=${seq}`)).status).toBe(404);
    }
    const stranger = await newCustomer();
    expect((await stranger.browser.get(`/requests?entry=${entry.seq}`)).status).toBe(404);
    expect((await customer.browser.get('/requests?entry=x')).status).toBe(200);
  });
});

/** SQLite's query plan of each statement that `work` executes. */
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
  it('shows the calculation to the nano-USD, even before it is in D1', async () => {
    const customer = await newCustomer();
    const id = await customer.charge(USED, { keyId: customer.keyId });
    const text = await textOf(customer.browser.get(`/requests/${id}`));
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

  it('shows the ledger entry with its hash, and links to it', async () => {
    const customer = await newCustomer();
    const id = await customer.charge(USED);
    const { entries } = await customer.wallet.ledger({ limit: 1 });
    const html = await (await customer.browser.get(`/requests/${id}`)).text();
    expect(html).toContain(entries[0]!.hash);
    expect(html).toContain(`/billing?before=${entries[0]!.seq + 1}#ledger`);
    const ledger = await (await customer.browser.get(`/billing?before=${entries[0]!.seq + 1}`)).text();
    expect(ledger).toContain(id);
  });

  it('shows what the nodes counted, and what was not billed and why', async () => {
    const customer = await newCustomer();
    const id = await customer.charge(USED);
    const counted = { ...USED, completionTokens: 120 };
    await customer.wallet.reconcile([
      receiptOf(id, 'node_a', { ...USED, completionTokens: 103 }, 'finished'),
      receiptOf(id, 'node_b', counted, 'aborted'),
    ]);
    await publish(customer.wallet);
    const text = await textOf(customer.browser.get(`/requests/${id}`));
    expect(text).toMatch(/node_a .{15,30} finished 30 103 3 never reached the edge/);
    expect(text).toMatch(/node_b .{15,30} stopped 30 120 150 another attempt was billed/);
  });

  it('shows a matching receipt as a single sentence', async () => {
    const customer = await newCustomer();
    const id = await customer.charge(USED);
    expect(await textOf(customer.browser.get(`/requests/${id}`))).toContain(one.noReceipts);
    await customer.wallet.reconcile([receiptOf(id, 'node_a', USED, 'finished')]);
    await publish(customer.wallet);
    expect(await textOf(customer.browser.get(`/requests/${id}`))).toContain(one.sameReceipt);
  });

  it('shows the same for a request that ended long ago, unless its receipt is missing or nothing was charged', async () => {
    const customer = await newCustomer();
    const endedAtMs = Date.now() - 16 * 60_000;
    const [same] = await ended(customer, 1, { endedAtMs });
    const [missed] = await ended(customer, 1, { endedAtMs });
    const [free] = await ended(customer, 1, { endedAtMs, chargeNanoUsd: 0, entrySeq: null });
    await env.DB.prepare("INSERT INTO drift VALUES (?, 'node_a', 'receipt_missing', ?, 1, '{}', NULL)")
      .bind(missed, customer.accountId)
      .run();
    expect(await textOf(customer.browser.get(`/requests/${same}`))).toContain(one.sameReceipt);
    for (const id of [missed, free])
      expect(await textOf(customer.browser.get(`/requests/${id}`))).toContain(one.noReceipts);
  });

  it('shows what is held while it runs', async () => {
    const customer = await newCustomer();
    const requestId = newId('req', Date.now());
    await customer.admit({
      requestId,
      hold: { wantedNanoUsd: nanoUsd(1_234_567), leastNanoUsd: nanoUsd(1) },
    });
    const text = await textOf(customer.browser.get(`/requests/${requestId}`));
    expect(text).toContain(one.runningNote('$0.001234567'));
    expect(text).not.toContain(one.noEntry);
  });

  it('shows what was refunded for a retry', async () => {
    const customer = await newCustomer();
    const work = (requestId: string) => ({ lookup: 'order-1', fingerprint: 'f', requestId });
    for (const completionTokens of [50, 100]) {
      const requestId = newId('req', Date.now());
      await customer.wallet.beginIdempotent(work(requestId));
      await customer.admit({ requestId });
      await customer.wallet.post({
        requestId,
        nodeId: 'node_a',
        usage: { ...USED, completionTokens, reasoningTokens: 0 },
        ending: 'node_failed',
        ttftMs: 1,
      });
      await customer.wallet.abandonIdempotent(work(requestId));
      const text = await textOf(customer.browser.get(`/requests/${requestId}`));
      if (completionTokens === 50) expect(text).not.toContain(one.given);
      // the first run had cost 121,900
      else expect(text).toContain(`${one.givenLine} -$0.0001219 -121,900 ${one.paid} $0.0001095 109,500`);
    }
  });

  it('shows that a request without an answer costs nothing', async () => {
    const customer = await newCustomer();
    const requestId = newId('req', Date.now());
    await customer.admit({ requestId });
    await customer.wallet.void({ requestId, nodeId: null, ending: 'not_served' });
    const text = await textOf(customer.browser.get(`/requests/${requestId}`));
    expect(text).toContain(one.noEntry);
    expect(text).toContain(`${one.sum} $0.00 0`);
  });

  it('is available after the Wallet has deleted the request', async () => {
    const customer = await newCustomer();
    const id = await customer.charge(USED);
    await publish(customer.wallet);
    passTime(25 * 3_600_000);
    await publish(customer.wallet);
    await publish(customer.wallet);
    expect(await customer.wallet.request(id)).toBeNull();
    expect(await textOf(customer.browser.get(`/requests/${id}`))).toContain(`${one.sum} $0.0002314 231,400`);
  });

  it('does not exist for another account, nor for an invalid id', async () => {
    const customer = await newCustomer();
    const id = await customer.charge(USED);
    await publish(customer.wallet);
    const stranger = await newCustomer();
    for (const path of [id, newId('req', Date.now()), 'req_x', '../../etc', '%00']) {
      expect((await stranger.browser.get(`/requests/${path}`)).status).toBe(404);
    }
    const response = await new Browser().get(`/requests/${id}`);
    expect(response.headers.get('location')).toContain('/sign-in');
  });

  it('shows the node’s name to operators, who can open requests of any account', async () => {
    const nodeId = newId('node', Date.now());
    await env.DB.prepare(
      `INSERT INTO node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, enrolled_at_ms)
       VALUES (?, 'h800-7', 'deepseek-r1-0528', '8xh200', 'https://x.test', ?, 1, '0.5.20', 'w', 1)`,
    )
      .bind(nodeId, nodeId)
      .run();
    const customer = await newCustomer();
    const requestId = newId('req', Date.now());
    await customer.admit({ requestId });
    await customer.wallet.post({ requestId, nodeId, usage: USED, ending: 'finished', ttftMs: 1 });
    const own = await textOf(customer.browser.get(`/requests/${requestId}`));
    expect(own).toContain(nodeId);
    expect(own).not.toContain('h800-7');

    const path = `/operator/accounts/${customer.accountId}/requests/${requestId}`;
    const console = await operatorBrowser();
    expect(await textOf(console.get(path))).toContain('h800-7');
    expect((await console.get(`/requests/${requestId}`)).status).toBe(404);
    expect((await customer.browser.get(path)).status).toBe(404);
  });
});
