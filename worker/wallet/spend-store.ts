/**
 * The spend of keys by UTC day, which caps sum over: every statement, no decision. The tables `key_spend` and
 * `shared_spend` have charges up to the checkpoint and those of leases; the views `spend` and `spend_shared` add the charges of
 * requests that ended since, so that such a charge writes no row here.
 */
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { firstRow } from './rows.ts';

export class SpendStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /**
   * Charges posted on UTC day `day` and later that count against one cap.
   * @param keyId the key whose cap it is: its own charges and those of keys that share its cap; null: all of the account
   */
  since(keyId: string | null, day: number): NanoUsd {
    const row =
      keyId === null
        ? firstRow(
            this.#sql,
            'SELECT coalesce(sum(spent_nano_usd), 0) AS spent FROM spend WHERE day >= ?',
            day,
          )
        : firstRow(
            this.#sql,
            `SELECT coalesce(sum(spent_nano_usd), 0) AS spent FROM (
               SELECT spent_nano_usd FROM spend WHERE key_id = ?1 AND day >= ?2
               UNION ALL SELECT spent_nano_usd FROM spend_shared WHERE key_id = ?1 AND day >= ?2)`,
            keyId,
            day,
          );
    return nanoUsd(row!.spent as number);
  }

  /**
   * Adds what requests of a lease cost together.
   * @param sharing keys against whose caps the charge counts, too
   */
  add(
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

  /** Adds the charges since the checkpoint to the tables. The caller moves the checkpoint in the same transaction. */
  store(): void {
    for (const [table, since] of [
      ['key_spend', 'spend_since'],
      ['shared_spend', 'shared_spend_since'],
    ])
      this.#sql.exec(
        `INSERT INTO ${table} (key_id, day, spent_nano_usd)
         SELECT key_id, day, sum(spent_nano_usd) FROM ${since} WHERE true GROUP BY key_id, day
         ON CONFLICT DO UPDATE SET spent_nano_usd = spent_nano_usd + excluded.spent_nano_usd`,
      );
  }

  /**
   * Adds days before `day` to one total per key, stored as day 0: of the caps only one over all time (`total`) still counts
   * them.
   */
  fold(day: number): void {
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
}
