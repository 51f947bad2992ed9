/** The Wallet's own tables (wallet-schema.ts) and nothing else: every statement, no decision. */

import type { ConversationHome } from '../domain/conversation.ts';
import type { Credit, Entry, EntryKind } from '../domain/ledger.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import type { HeldRequest } from './held-request.ts';
import { type Row, toEntry, toReceipt, toRequest } from './rows.ts';
import { WALLET_MIGRATIONS } from './schema.ts';

/** A home that has not changed is written anew only when it is this old. */
const HOME_AGE_MS = 3_600_000;

export interface Head extends Credit {
  readonly heldNanoUsd: NanoUsd;
  readonly owedNanoUsd: NanoUsd;
  readonly seq: number;
  readonly hash: string;
}

export class WalletStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#migrate();
  }

  #migrate(): void {
    this.#sql.exec('CREATE TABLE IF NOT EXISTS version (migrations INTEGER NOT NULL) STRICT');
    const done = (this.#one('SELECT migrations FROM version')?.migrations as number | undefined) ?? 0;
    if (done === WALLET_MIGRATIONS.length) return;
    for (const migration of WALLET_MIGRATIONS.slice(done)) this.#sql.exec(migration);
    this.#sql.exec('DELETE FROM version');
    this.#sql.exec('INSERT INTO version VALUES (?)', WALLET_MIGRATIONS.length);
  }

  /** A Wallet knows whose it is by the name it is called by; an alarm calls it by none. */
  keepAccountId(name: string | undefined): void {
    if (name !== undefined && this.#one('SELECT id FROM account') === null) {
      this.#sql.exec('INSERT INTO account VALUES (?)', name);
    }
  }

  /** @throws Error when nobody ever called this Wallet by its account id */
  accountId(): string {
    const row = this.#one('SELECT id FROM account');
    if (row === null) throw new Error('a Wallet is reached by its account id, never by a bare object id');
    return row.id as string;
  }

  head(): Head {
    const row = this.#one('SELECT * FROM credit')!;
    return {
      grantedNanoUsd: nanoUsd(row.granted_nano_usd as number),
      paidNanoUsd: nanoUsd(row.paid_nano_usd as number),
      heldNanoUsd: nanoUsd(row.held_nano_usd as number),
      owedNanoUsd: nanoUsd(row.owed_nano_usd as number),
      seq: row.head_seq as number,
      hash: row.head_hash as string,
    };
  }

  changeHeld(byNanoUsd: number): void {
    this.#sql.exec('UPDATE credit SET held_nano_usd = held_nano_usd + ?', byNanoUsd);
  }

  changeOwed(byNanoUsd: number): void {
    this.#sql.exec('UPDATE credit SET owed_nano_usd = owed_nano_usd + ?', byNanoUsd);
  }

  /** Appends the entry and moves balance, chain head and what is held with it. */
  append(entry: Entry, heldByNanoUsd: number): void {
    this.#sql.exec(
      'INSERT INTO entry (seq, at_ms, kind, reference, granted_nano_usd, paid_nano_usd, balance_nano_usd, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      entry.seq,
      entry.atMs,
      entry.kind,
      entry.reference,
      entry.grantedNanoUsd,
      entry.paidNanoUsd,
      entry.balanceNanoUsd,
      entry.hash,
    );
    this.#sql.exec(
      'UPDATE credit SET granted_nano_usd = granted_nano_usd + ?, paid_nano_usd = paid_nano_usd + ?, held_nano_usd = held_nano_usd + ?, head_seq = ?, head_hash = ?',
      entry.grantedNanoUsd,
      entry.paidNanoUsd,
      heldByNanoUsd,
      entry.seq,
      entry.hash,
    );
  }

  entryOf(kind: EntryKind, reference: string): Entry | null {
    const row = this.#one('SELECT * FROM entry WHERE kind = ? AND reference = ?', kind, reference);
    return row && toEntry(row);
  }

  /** Newest first, those before `beforeSeq`. */
  entries(beforeSeq: number, limit: number): Entry[] {
    return this.#all('SELECT * FROM entry WHERE seq < ? ORDER BY seq DESC LIMIT ?', beforeSeq, limit).map(
      toEntry,
    );
  }

  /** Oldest first, those after `afterSeq`. */
  entriesAfter(afterSeq: number, limit: number): Entry[] {
    return this.#all('SELECT * FROM entry WHERE seq > ? ORDER BY seq LIMIT ?', afterSeq, limit).map(toEntry);
  }

  request(requestId: string): HeldRequest | null {
    const row = this.#one('SELECT * FROM request WHERE request_id = ?', requestId);
    return row && toRequest(row);
  }

  insertRequest(request: HeldRequest): void {
    this.#sql.exec(
      `INSERT INTO request (request_id, key_id, model_id, stream, cap_nano_usd, cap_period, state, admitted_at_ms,
         lease_until_ms, held_nano_usd, price_id, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd,
         account_cap_nano_usd, account_cap_period, tokens, background, token_id, token_cap_nano_usd)
       VALUES (?, ?, ?, ?, ?, ?, 'held', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      request.requestId,
      request.keyId,
      request.modelId,
      request.stream ? 1 : 0,
      request.caps.key.capNanoUsd,
      request.caps.key.capPeriod,
      request.admittedAtMs,
      request.leaseUntilMs,
      request.heldNanoUsd,
      request.price.id,
      request.price.cacheHitNanoUsd,
      request.price.cacheMissNanoUsd,
      request.price.outputNanoUsd,
      request.caps.account.capNanoUsd,
      request.caps.account.capPeriod,
      request.tokens,
      request.background ? 1 : 0,
      request.token?.id ?? null,
      request.token?.capNanoUsd ?? null,
    );
  }

  setHold(
    requestId: string,
    { heldNanoUsd, tokens, leaseUntilMs }: Pick<HeldRequest, 'heldNanoUsd' | 'tokens' | 'leaseUntilMs'>,
  ): void {
    this.#sql.exec(
      'UPDATE request SET held_nano_usd = ?, tokens = ?, lease_until_ms = ? WHERE request_id = ?',
      heldNanoUsd,
      tokens,
      leaseUntilMs,
      requestId,
    );
  }

  endRequest(request: RequestRecord): void {
    this.#sql.exec(
      `UPDATE request SET state = ?, ending = ?, node_id = ?, ended_at_ms = ?, held_nano_usd = 0, prompt_tokens = ?,
         cached_tokens = ?, completion_tokens = ?, reasoning_tokens = ?, charge_nano_usd = ?, entry_seq = ?, ttft_ms = ?
       WHERE request_id = ?`,
      request.state,
      request.ending,
      request.nodeId,
      request.endedAtMs,
      request.usage.promptTokens,
      request.usage.cachedTokens,
      request.usage.completionTokens,
      request.usage.reasoningTokens,
      request.chargeNanoUsd,
      request.entrySeq,
      request.ttftMs,
      request.requestId,
    );
  }

  home(conversation: number): ConversationHome | null {
    const row = this.#one('SELECT node_id, prompt_tokens FROM home WHERE conversation = ?', conversation);
    return row && { nodeId: row.node_id as string, promptTokens: row.prompt_tokens as number };
  }

  keepHome(conversation: number, { nodeId, promptTokens }: ConversationHome, nowMs: number): void {
    this.#sql.exec(
      `INSERT INTO home VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET node_id = excluded.node_id,
         prompt_tokens = excluded.prompt_tokens, at_ms = excluded.at_ms
       WHERE node_id <> excluded.node_id OR prompt_tokens <> excluded.prompt_tokens OR at_ms < excluded.at_ms - ?`,
      conversation,
      nodeId,
      promptTokens,
      nowMs,
      HOME_AGE_MS,
    );
  }

  /** Held requests past their lease of which a receipt tells, or that waited `graceMs` for one; oldest first. */
  settleable(nowMs: number, graceMs: number, limit: number): HeldRequest[] {
    return this.#all(
      `SELECT * FROM request WHERE state = 'held' AND lease_until_ms < ? AND (lease_until_ms < ? OR background = 0 AND EXISTS (
         SELECT 1 FROM receipt WHERE receipt.request_id = request.request_id AND settled = 0 AND completion_tokens > 0
           AND (stream = 1 OR outcome IN ('finished', 'aborted'))))
       ORDER BY lease_until_ms LIMIT ?`,
      nowMs,
      nowMs - graceMs,
      limit,
    ).map(toRequest);
  }

  /** The earliest end of a lease after `afterMs`, or null. */
  nextLeaseEndMs(afterMs: number): number | null {
    const row = this.#one(
      "SELECT min(lease_until_ms) AS at FROM request WHERE state = 'held' AND lease_until_ms >= ?",
      afterMs,
    );
    return (row?.at as number | null) ?? null;
  }

  /** Requests that are held or ended after `afterMs`. */
  recentRequests(afterMs: number): HeldRequest[] {
    return this.#all(
      // two partial indexes; who was admitted so lately is held or has ended since
      `SELECT * FROM request WHERE state = 'held'
       UNION ALL SELECT * FROM request WHERE state <> 'held' AND ended_at_ms > ?`,
      afterMs,
    ).map(toRequest);
  }

  /** Posted from `day` on, by a key or (null) by all of them. */
  spentSince(keyId: string | null, day: number): NanoUsd {
    const sum = 'SELECT coalesce(sum(spent_nano_usd), 0) AS spent FROM key_spend WHERE day >= ?';
    const row = keyId === null ? this.#one(sum, day) : this.#one(`${sum} AND key_id = ?`, day, keyId);
    return nanoUsd(row!.spent as number);
  }

  addSpend(keyId: string, day: number, byNanoUsd: NanoUsd): void {
    this.#sql.exec(
      'INSERT INTO key_spend VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET spent_nano_usd = spent_nano_usd + excluded.spent_nano_usd',
      keyId,
      day,
      byNanoUsd,
    );
  }

  tokenUse(tokenId: string): { spentNanoUsd: NanoUsd; heldNanoUsd: NanoUsd } {
    const row = this.#one('SELECT * FROM token_spend WHERE token_id = ?', tokenId);
    return {
      spentNanoUsd: nanoUsd((row?.spent_nano_usd as number | undefined) ?? 0),
      heldNanoUsd: nanoUsd((row?.held_nano_usd as number | undefined) ?? 0),
    };
  }

  changeTokenUse(
    tokenId: string,
    { spentNanoUsd, heldNanoUsd }: { spentNanoUsd: number; heldNanoUsd: number },
    nowMs: number,
  ): void {
    this.#sql.exec('INSERT OR IGNORE INTO token_spend VALUES (?, 0, 0, ?)', tokenId, nowMs);
    this.#sql.exec(
      `UPDATE token_spend SET spent_nano_usd = spent_nano_usd + ?, held_nano_usd = held_nano_usd + ?, at_ms = ?
       WHERE token_id = ?`,
      spentNanoUsd,
      heldNanoUsd,
      nowMs,
      tokenId,
    );
  }

  /** @param settled whether the caller works out its write-off at once @returns whether the receipt is new */
  insertReceipt(receipt: WalletReceipt, nowMs: number, { settled }: { settled: boolean }): boolean {
    const { usage } = receipt;
    return (
      this.#sql.exec(
        'INSERT OR IGNORE INTO receipt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
        receipt.requestId,
        receipt.nodeId,
        nowMs,
        receipt.outcome,
        usage.promptTokens,
        usage.cachedTokens,
        usage.completionTokens,
        usage.reasoningTokens,
        receipt.ttftMs,
        settled ? 1 : 0,
        receipt.ticket,
      ).rowsWritten > 0
    );
  }

  hasReceipt(requestId: string, nodeId: string | null): boolean {
    return (
      this.#one('SELECT 1 FROM receipt WHERE request_id = ? AND node_id = ?', requestId, nodeId) !== null
    );
  }

  /** Nodes that say they gave the whole answer of a request. */
  finishedAt(requestId: string): string[] {
    const query =
      "SELECT node_id FROM receipt WHERE request_id = ? AND outcome = 'finished' ORDER BY node_id";
    return this.#all(query, requestId).map((row) => row.node_id as string);
  }

  /** Charged requests that ended in a span of time and of which their node has sent no receipt; oldest first. */
  chargedWithoutReceipt(span: { afterMs: number; toMs: number }, limit: number): HeldRequest[] {
    return this.#all(
      `SELECT * FROM request WHERE state <> 'held' AND ended_at_ms > ? AND ended_at_ms <= ? AND charge_nano_usd > 0
         AND NOT EXISTS (SELECT 1 FROM receipt
           WHERE receipt.request_id = request.request_id AND receipt.node_id = request.node_id)
       ORDER BY ended_at_ms LIMIT ?`,
      span.afterMs,
      span.toMs,
      limit,
    ).map(toRequest);
  }

  /** Up to when it has been looked for receipts that are missing. */
  proofCheckedToMs(): number {
    return this.#one('SELECT checked_to_ms FROM proof')!.checked_to_ms as number;
  }

  setProofCheckedTo(atMs: number): void {
    this.#sql.exec('UPDATE proof SET checked_to_ms = ?', atMs);
  }

  /** When the first request ended after `afterMs`, or null. */
  nextEndMs(afterMs: number): number | null {
    const query = "SELECT min(ended_at_ms) AS at FROM request WHERE state <> 'held' AND ended_at_ms > ?";
    return (this.#one(query, afterMs)?.at as number | null) ?? null;
  }

  /** Receipts of a request whose write-off is not known yet. */
  unsettledReceipts(requestId: string): WalletReceipt[] {
    return this.#all('SELECT * FROM receipt WHERE request_id = ? AND settled = 0', requestId).map(toReceipt);
  }

  /** … of requests whose ids are in a span. */
  unsettledBetween(firstRequestId: string, lastRequestId: string): WalletReceipt[] {
    const query = 'SELECT * FROM receipt WHERE request_id BETWEEN ? AND ? AND settled = 0';
    return this.#all(query, firstRequestId, lastRequestId).map(toReceipt);
  }

  settleReceipt(receipt: WalletReceipt): void {
    this.#sql.exec(
      'UPDATE receipt SET settled = 1 WHERE request_id = ? AND node_id = ?',
      receipt.requestId,
      receipt.nodeId,
    );
  }

  enqueue(item: unknown): void {
    this.#sql.exec('INSERT INTO outbox (item) VALUES (?)', JSON.stringify(item));
  }

  outbox(limit: number): { seq: number; item: string }[] {
    return this.#all('SELECT seq, item FROM outbox ORDER BY seq LIMIT ?', limit).map((row) => ({
      seq: row.seq as number,
      item: row.item as string,
    }));
  }

  /** The first ledger entry that D1 may not have yet, or null. */
  firstUntoldSeq(): number | null {
    const row = this.#one(
      "SELECT min(item ->> '$.entry.seq') AS seq FROM outbox WHERE item ->> '$.kind' IN ('entry', 'settled', 'page')",
    );
    return (row?.seq as number | null) ?? null;
  }

  /** Forgets what has been told. */
  dequeue(seqs: readonly number[]): void {
    if (seqs.length === 0) return;
    this.#sql.exec('DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))', JSON.stringify(seqs));
  }

  /** Forgets requests that ended before `beforeMs`, and their receipts: D1 has both. Caches forget conversations sooner. */
  trim(beforeMs: number): void {
    this.#sql.exec(
      "DELETE FROM receipt WHERE received_at_ms < ? AND request_id NOT IN (SELECT request_id FROM request WHERE state = 'held')",
      beforeMs,
    );
    this.#sql.exec("DELETE FROM request WHERE state <> 'held' AND ended_at_ms < ?", beforeMs);
    this.#sql.exec('DELETE FROM home WHERE at_ms < ?', beforeMs);
    // no token lives for as long as a day
    this.#sql.exec('DELETE FROM token_spend WHERE at_ms < ? AND held_nano_usd = 0', beforeMs);
  }

  #all(query: string, ...bindings: SqlStorageValue[]): Row[] {
    return this.#sql.exec<Row>(query, ...bindings).toArray();
  }

  #one(query: string, ...bindings: SqlStorageValue[]): Row | null {
    return this.#all(query, ...bindings)[0] ?? null;
  }
}
