/** The present version opens Wallets that another version stored. */
import { runInDurableObject } from 'cloudflare:test';
import { expect, it } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import { LedgerStore } from '../../../worker/wallet/ledger-store.ts';
import { emptyOutbox } from '../../../worker/wallet/outbox.ts';
import { OutboxStore } from '../../../worker/wallet/outbox-store.ts';
import { RequestStore } from '../../../worker/wallet/request-store.ts';
import { migrate, WALLET_MIGRATIONS } from '../../../worker/wallet/schema.ts';
import { SettlementGroups } from '../../../worker/wallet/settlement-groups.ts';
import { env } from './fixtures.ts';

const NOW = Date.UTC(2026, 10, 29, 12);
const GRACE_MS = 60_000;

const INSERT = `INSERT INTO request (request_id, key_id, model_id, stream, cap_period, state, admitted_at_ms, ended_at_ms,
  lease_until_ms, held_nano_usd, price_id, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd)
  VALUES (?, 'key_1', 'm', 1, 'month', ?, ?, ?, ?, ?, 'p/1', 1, 2, 3)`;

const newWallet = () => env.WALLET.getByName(newId('acct', Date.now()));

/** The number of migrations after which sums are stored at checkpoints. */
const WITH_CHECKPOINT = 10;

const earlier = WALLET_MIGRATIONS.map((_, done) => done).slice(1);
it.each(earlier)('after %i migrations: its rows are found', async (done) => {
  await runInDurableObject(newWallet(), async (_, { storage }) => {
    await storage.deleteAll();
    const { sql } = storage;
    for (const migration of WALLET_MIGRATIONS.slice(0, done)) sql.exec(migration);
    sql.exec('CREATE TABLE version (migrations INTEGER NOT NULL) STRICT');
    sql.exec('INSERT INTO version VALUES (?)', done);
    sql.exec(INSERT, 'req_ended', 'posted', NOW - 9_000, NOW - 5_000, NOW, 0);
    sql.exec(INSERT, 'req_orphaned', 'held', NOW - 200_000, null, NOW - 100_000, 50);
    sql.exec(INSERT, 'req_running', 'held', NOW - 1_000, null, NOW + 100_000, 70);

    sql.exec("INSERT INTO entry VALUES (1, ?, 'grant', 'trial', 200, 0, 200, 'h1')", NOW);
    for (let i = 1; i <= 3; i++) sql.exec("INSERT INTO outbox VALUES (?, '{}')", i);
    sql.exec('DELETE FROM outbox WHERE seq <> 2');
    sql.exec(
      done < WITH_CHECKPOINT
        ? "UPDATE credit SET granted_nano_usd = 200, held_nano_usd = 120, head_seq = 1, head_hash = 'h1'"
        : "UPDATE checkpoint SET granted_nano_usd = 200, seq = 1, hash = 'h1', outbox_seq = 3",
    );

    migrate(sql);
    // A number is never given twice, even if its item is gone.
    const outboxStore = new OutboxStore(sql);
    expect([outboxStore.items(9).map(({ seq }) => seq), outboxStore.nextSeq()]).toEqual([[2], 4]);
    const store = new RequestStore(sql, new OutboxStore(sql).lastSeq);
    const ids = (requests: readonly { requestId: string }[]) =>
      requests.map(({ requestId }) => requestId).sort();
    expect(ids(store.expired(NOW))).toEqual(['req_orphaned']);
    expect(store.nextHoldExpiryMs(0)).toBe(NOW - 100_000);
    expect(store.nextHoldExpiryMs(NOW)).toBe(NOW + 100_000);
    expect(ids(store.recent(NOW - 60_000))).toEqual(['req_ended', 'req_orphaned', 'req_running']);
    expect(new LedgerStore(sql).head()).toMatchObject({
      grantedNanoUsd: 200,
      heldNanoUsd: 120,
      seq: 1,
      hash: 'h1',
    });
    expect(store.hasUnpublished()).toBe(false);
    expect(store.find('req_running')).toMatchObject({ heldNanoUsd: 70, state: 'held' });
  });
});

it('after a rollback: an item that only a newer version knows stays in the outbox', async () => {
  await runInDurableObject(newWallet(), async (_, { storage: { sql } }) => {
    const outboxStore = new OutboxStore(sql);
    outboxStore.enqueue({ kind: 'of_tomorrow' });
    const delivery = emptyOutbox(env, {
      accountId: () => 'acct_1',
      outboxStore,
      requestStore: new RequestStore(sql, outboxStore.lastSeq),
      ledgerStore: new LedgerStore(sql),
      groups: new SettlementGroups(sql, () => GRACE_MS),
      graceMs: () => GRACE_MS,
      commit: (work) => work(),
    });
    await expect(delivery).rejects.toThrow('of_tomorrow');
    expect(outboxStore.items(10)).toHaveLength(1);
    // Otherwise the alarm would retry for as long as the test's Worker lives.
    outboxStore.dequeue(outboxStore.items(10).map(({ seq }) => seq));
  });
});
