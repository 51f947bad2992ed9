/** Numbers of the outbox: D1 takes an item whose number it knows for one that it has. */
import { runInDurableObject } from 'cloudflare:test';
import { expect, it } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import { Checkpoint } from '../../../worker/wallet/checkpoint.ts';
import { LedgerStore } from '../../../worker/wallet/ledger-store.ts';
import { OutboxStore } from '../../../worker/wallet/outbox-store.ts';
import { RequestStore } from '../../../worker/wallet/request-store.ts';
import { SpendStore } from '../../../worker/wallet/spend-store.ts';
import { env } from './fixtures.ts';

const HOUR_MS = 3_600_000;

it('are not given again after a restart behind a receipt that came hours after its request', async () => {
  const nowMs = Date.UTC(2026, 10, 29, 12);
  await runInDurableObject(env.WALLET.getByName(newId('acct', nowMs)), (_, { storage: { sql } }) => {
    const requestId = newId('req', nowMs);
    sql.exec(
      `INSERT INTO request (request_id, key_id, model_id, stream, cap_period, state, admitted_at_ms, ended_at_ms,
        lease_until_ms, held_nano_usd, price_id, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd)
        VALUES (?, 'key_1', 'm', 1, 'month', 'held', ?, null, ?, 0, 'p/1', 1, 2, 3)`,
      requestId,
      nowMs,
      nowMs + 100_000,
    );
    const outboxStore = new OutboxStore(sql);
    const requestStore = new RequestStore(sql, outboxStore.lastSeq);
    const ended = {
      ...requestStore.find(requestId)!,
      ...{ state: 'posted' as const, ending: 'finished' as const, nodeId: 'node_1' },
      ...{ endedAtMs: nowMs + 1, chargeNanoUsd: nanoUsd(5) },
    };
    requestStore.end(ended, { outboxSeq: outboxStore.nextSeq(), grantedNanoUsd: nanoUsd(0), outcome: null });
    requestStore.published(1);
    requestStore.stopWaiting(requestId);
    const stores = {
      ledgerStore: new LedgerStore(sql),
      outboxStore,
      requestStore,
      spendStore: new SpendStore(sql),
    };
    new Checkpoint(sql, stores).save(nowMs + 5 * HOUR_MS);
    requestStore.prove(ended, 'finished', {
      ...{ late: true, nowMs: nowMs + 6 * HOUR_MS, receiptSeq: () => outboxStore.nextSeq() },
    });
    expect(new OutboxStore(sql).nextSeq()).toBe(3);
    const restarted = new RequestStore(sql, new OutboxStore(sql).lastSeq);
    expect(restarted.unpublishedReceipts()).toHaveLength(1);
  });
});
