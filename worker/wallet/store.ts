/** The account's id, its tokens' spend and where its conversations were answered: every statement, no decision. */

import type { ConversationHome } from '../domain/conversation.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { firstRow } from './rows.ts';

/** The newest requests among which a conversation's last one is looked for: reading more would cost as much as writing a row. */
const HOME_REQUESTS = 200;

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

  /** @param conversation hash of what a request's conversation keeps as it grows */
  home(conversation: number): ConversationHome | null {
    const row =
      firstRow(
        this.#sql,
        `SELECT node_id, prompt_tokens FROM (
           SELECT conversation, node_id, prompt_tokens FROM request ORDER BY request_id DESC LIMIT ${HOME_REQUESTS})
         WHERE conversation = ? AND node_id IS NOT NULL AND prompt_tokens > 0 LIMIT 1`,
        conversation,
      ) ??
      firstRow(this.#sql, 'SELECT node_id, prompt_tokens FROM home WHERE conversation = ?', conversation);
    return row && { nodeId: row.node_id as string, promptTokens: row.prompt_tokens as number };
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

  /**
   * Forgets homes of before `beforeMs` (the nodes' prefix caches have long dropped those conversations), and the spend of
   * tokens last used before then: no token lives for a day.
   */
  trim(beforeMs: number): void {
    this.#sql.exec('DELETE FROM home WHERE at_ms < ?', beforeMs);
    this.#sql.exec('DELETE FROM token_spend WHERE at_ms < ? AND held_nano_usd = 0', beforeMs);
  }
}
