/** The account's id, its requests, its spend and where its conversations were answered: every statement, no decision. */

import type { ConversationHome } from '../domain/conversation.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import type { HeldRequest } from './held-request.ts';
import { allRows, firstRow, toRequest } from './rows.ts';

/** A home that has not changed is written again only at this age, so that most turns of a conversation cost no row. */
const HOME_AGE_MS = 3_600_000;

export class WalletStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Stores the account id when a caller first reaches this Wallet by it: an alarm starts the object without a name. */
  keepAccountId(name: string | undefined): void {
    if (name !== undefined && firstRow(this.#sql, 'SELECT id FROM account') === null) {
      this.#sql.exec('INSERT INTO account VALUES (?)', name);
    }
  }

  /** @throws Error when this Wallet was never reached by its account id */
  accountId(): string {
    const row = firstRow(this.#sql, 'SELECT id FROM account');
    if (row === null) throw new Error('a Wallet is reached by its account id, never by a bare object id');
    return row.id as string;
  }

  request(requestId: string): HeldRequest | null {
    const row = firstRow(this.#sql, 'SELECT * FROM request WHERE request_id = ?', requestId);
    return row && toRequest(row);
  }

  insertRequest(request: HeldRequest): void {
    const { shared } = request.caps;
    this.#sql.exec(
      `INSERT INTO request (request_id, key_id, model_id, stream, cap_nano_usd, cap_period, state, admitted_at_ms,
         lease_until_ms, held_nano_usd, price_id, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd,
         account_cap_nano_usd, account_cap_period, tokens, background, token_id, token_cap_nano_usd, lineage_id, manager_id,
         manager_cap_nano_usd, manager_cap_period)
       VALUES (?, ?, ?, ?, ?, ?, 'held', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      request.requestId,
      request.keyId,
      request.modelId,
      request.stream ? 1 : 0,
      request.caps.key.capNanoUsd,
      request.caps.key.capPeriod,
      request.admittedAtMs,
      request.holdExpiresAtMs,
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
      shared?.lineageId ?? null,
      shared?.manager?.keyId ?? null,
      shared?.manager?.capNanoUsd ?? null,
      shared?.manager?.capPeriod ?? null,
    );
  }

  setHold(
    requestId: string,
    { heldNanoUsd, tokens, holdExpiresAtMs }: Pick<HeldRequest, 'heldNanoUsd' | 'tokens' | 'holdExpiresAtMs'>,
  ): void {
    this.#sql.exec(
      'UPDATE request SET held_nano_usd = ?, tokens = ?, lease_until_ms = ? WHERE request_id = ?',
      heldNanoUsd,
      tokens,
      holdExpiresAtMs,
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

  /** @param conversation hash of what a request's conversation keeps as it grows */
  home(conversation: number): ConversationHome | null {
    const row = firstRow(
      this.#sql,
      'SELECT node_id, prompt_tokens FROM home WHERE conversation = ?',
      conversation,
    );
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

  /**
   * Held requests that have expired and can be settled: a receipt proves their output, or they have waited `graceMs` for
   * one. The longest expired come first.
   */
  settleable(nowMs: number, graceMs: number, limit: number): HeldRequest[] {
    return allRows(
      this.#sql,
      `SELECT * FROM request WHERE state = 'held' AND lease_until_ms < ? AND (lease_until_ms < ? OR background = 0 AND EXISTS (
         SELECT 1 FROM receipt WHERE receipt.request_id = request.request_id AND settled = 0 AND completion_tokens > 0
           AND (stream = 1 OR outcome IN ('finished', 'aborted'))))
       ORDER BY lease_until_ms LIMIT ?`,
      nowMs,
      nowMs - graceMs,
      limit,
    ).map(toRequest);
  }

  /** When the next hold expires, at `afterMs` or later; null: none does. */
  nextHoldExpiryMs(afterMs: number): number | null {
    const row = firstRow(
      this.#sql,
      "SELECT min(lease_until_ms) AS at FROM request WHERE state = 'held' AND lease_until_ms >= ?",
      afterMs,
    );
    return (row?.at as number | null) ?? null;
  }

  /** Requests that are held, or that ended after `afterMs`. */
  recentRequests(afterMs: number): HeldRequest[] {
    return allRows(
      this.#sql,
      // Two queries, so that each uses its own partial index. A request admitted after `afterMs` is in one of the two.
      `SELECT * FROM request WHERE state = 'held'
       UNION ALL SELECT * FROM request WHERE state <> 'held' AND ended_at_ms > ?`,
      afterMs,
    ).map(toRequest);
  }

  /**
   * Charges posted on UTC day `day` and later that count against one cap.
   * @param keyId the key whose cap it is: its own charges and those of keys that share its cap; null: all of the account
   */
  spentSince(keyId: string | null, day: number): NanoUsd {
    const row =
      keyId === null
        ? firstRow(
            this.#sql,
            'SELECT coalesce(sum(spent_nano_usd), 0) AS spent FROM key_spend WHERE day >= ?',
            day,
          )
        : firstRow(
            this.#sql,
            `SELECT coalesce(sum(spent_nano_usd), 0) AS spent FROM (
               SELECT spent_nano_usd FROM key_spend WHERE key_id = ?1 AND day >= ?2
               UNION ALL SELECT spent_nano_usd FROM shared_spend WHERE key_id = ?1 AND day >= ?2)`,
            keyId,
            day,
          );
    return nanoUsd(row!.spent as number);
  }

  /** @param sharing keys against whose caps the charge counts, too */
  addSpend(
    { keyId, sharing }: { keyId: string; sharing: readonly string[] },
    day: number,
    byNanoUsd: NanoUsd,
  ): void {
    this.#addTo('key_spend', keyId, day, byNanoUsd);
    for (const id of sharing) this.#addTo('shared_spend', id, day, byNanoUsd);
  }

  #addTo(table: 'key_spend' | 'shared_spend', keyId: string, day: number, byNanoUsd: NanoUsd): void {
    this.#sql.exec(
      `INSERT INTO ${table} VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET spent_nano_usd = spent_nano_usd + excluded.spent_nano_usd`,
      keyId,
      day,
      byNanoUsd,
    );
  }

  /**
   * Adds days before `day` to one total per key, stored as day 0: of the caps only one over all time (`total`) still counts
   * them.
   */
  foldSpend(day: number): void {
    for (const table of ['key_spend', 'shared_spend']) {
      const old = `FROM ${table} WHERE day > 0 AND day < ?`;
      this.#sql.exec(
        `INSERT INTO ${table} (key_id, day, spent_nano_usd) SELECT key_id, 0, sum(spent_nano_usd) ${old} GROUP BY key_id
         ON CONFLICT DO UPDATE SET spent_nano_usd = spent_nano_usd + excluded.spent_nano_usd`,
        day,
      );
      this.#sql.exec(`DELETE ${old}`, day);
    }
  }

  tokenUse(tokenId: string): { spentNanoUsd: NanoUsd; heldNanoUsd: NanoUsd } {
    const row = firstRow(this.#sql, 'SELECT * FROM token_spend WHERE token_id = ?', tokenId);
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

  /** When the first request after `afterMs` ended; null: none has. */
  nextEndMs(afterMs: number): number | null {
    const query = "SELECT min(ended_at_ms) AS at FROM request WHERE state <> 'held' AND ended_at_ms > ?";
    return (firstRow(this.#sql, query, afterMs)?.at as number | null) ?? null;
  }

  /**
   * Forgets requests that ended before `beforeMs` (D1 has them), homes that are that old (the nodes' prefix caches have
   * long dropped those conversations), and the spend of tokens last used before then: no token lives for a day.
   */
  trim(beforeMs: number): void {
    this.#sql.exec("DELETE FROM request WHERE state <> 'held' AND ended_at_ms < ?", beforeMs);
    this.#sql.exec('DELETE FROM home WHERE at_ms < ?', beforeMs);
    this.#sql.exec('DELETE FROM token_spend WHERE at_ms < ? AND held_nano_usd = 0', beforeMs);
  }
}
