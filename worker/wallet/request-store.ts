/**
 * Requests with a hold of their own: every statement, and in memory those that something is still to be done for. The
 * table has no index but its key, which would cost a written row at each change of a request; ids begin with their time,
 * and the checkpoint names the least id that is still open, so a restart reads few rows.
 */
import { firstIdAt } from '../domain/ids.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import { type HeldRequest, publicRecord } from './held-request.ts';
import { allRows, firstRow, type Row, toRequest } from './rows.ts';

/** Clocks of isolates, which make ids, may differ from this one by an hour. */
const SKEW_MS = 3_600_000;
/** A request lasts two hours at most; it counts against the limits for a minute after its end. */
const RECENT_MS = 2 * 3_600_000 + 60_000 + SKEW_MS;

/**
 * How the billed node's receipt is published, if it agrees with the bill; others are rows of the table `receipt`.
 * `with_request`: together with its request. `alone`: by itself, because it came when its request's publication may have
 * begun.
 */
type ReceiptPublication = 'with_request' | 'alone';

/** The column `receipt`: as `proofs` of a group, in capitals when the receipt is published alone. */
const MARKS = {
  with_request: { finished: 'f', other: 'p' },
  alone: { finished: 'F', other: 'P' },
} as const;
const NO_RECEIPT = '0';

/** A request that has ended and that D1 may not have. */
export interface UnpublishedRequest {
  readonly outboxSeq: number;
  readonly record: RequestRecord;
  readonly grantedNanoUsd: NanoUsd;
  /** When the receipt came that is published together with it; null: none is. */
  readonly receiptAtMs: number | null;
}

/** The agreeing receipt of a request, which is published by itself. */
export interface UnpublishedReceipt {
  readonly outboxSeq: number;
  readonly record: RequestRecord;
  readonly receiptAtMs: number;
}

export class RequestStore {
  readonly #sql: SqlStorage;
  #openFrom = '';
  #publishedSeq = 0;
  /** Numbers up to this one may have been published by an attempt that this object does not know of. */
  #begunSeq = 0;
  readonly #held = new Map<string, HeldRequest>();
  /** Charged requests that ended after the last check for receipts and whose node has sent none. */
  readonly #unproved = new Map<string, RequestRecord>();
  readonly #unpublished = new Map<string, UnpublishedRequest>();
  readonly #unpublishedReceipts = new Map<string, UnpublishedReceipt>();

  /** @param numberedTo the last number of the outbox */
  constructor(sql: SqlStorage, numberedTo: number) {
    this.#sql = sql;
    this.load(numberedTo);
  }

  /** Reads the open requests again, at first and after a failed transaction. */
  load(numberedTo: number): void {
    const { published_seq, open_from } = firstRow(this.#sql, 'SELECT * FROM checkpoint')!;
    this.#openFrom = open_from as string;
    this.#publishedSeq = Math.max(this.#publishedSeq, published_seq as number);
    this.#begunSeq = numberedTo;
    for (const known of this.#known()) known.clear();
    const rows = allRows(
      this.#sql,
      `SELECT *, charge_nano_usd > 0 AND ended_at_ms > (SELECT checked_to_ms FROM proof) AND receipt = '${NO_RECEIPT}'
         AND NOT EXISTS (SELECT 1 FROM receipt AS r WHERE r.request_id = request.request_id AND r.node_id = request.node_id)
         AS is_unproved
       FROM request WHERE request_id >= ?1 AND (state = 'held' OR outbox_seq > ?2 OR receipt_seq > ?2 OR is_unproved)`,
      this.#openFrom,
      this.#publishedSeq,
    );
    for (const row of rows) this.#open(row);
  }

  #open(row: Row): void {
    const request = toRequest(row);
    if (request.state === 'held') this.#held.set(request.requestId, request);
    if (row.is_unproved === 1) this.#unproved.set(request.requestId, publicRecord(request));
    const outboxSeq = (row.outbox_seq as number | null) ?? 0;
    if (outboxSeq > this.#publishedSeq)
      this.#unpublished.set(request.requestId, {
        outboxSeq,
        record: publicRecord(request),
        grantedNanoUsd: nanoUsd(row.granted_nano_usd as number),
        receiptAtMs: Object.values<string>(MARKS.with_request).includes(row.receipt as string)
          ? (row.receipt_at_ms as number)
          : null,
      });
    const receiptSeq = (row.receipt_seq as number | null) ?? 0;
    if (receiptSeq > this.#publishedSeq)
      this.#unpublishedReceipts.set(request.requestId, {
        outboxSeq: receiptSeq,
        record: publicRecord(request),
        receiptAtMs: row.receipt_at_ms as number,
      });
  }

  #known() {
    return [this.#held, this.#unproved, this.#unpublished, this.#unpublishedReceipts];
  }

  find(requestId: string): HeldRequest | null {
    const held = this.#held.get(requestId);
    if (held) return held;
    const row = firstRow(this.#sql, 'SELECT * FROM request WHERE request_id = ?', requestId);
    return row && toRequest(row);
  }

  insert(request: HeldRequest): void {
    const { shared } = request.caps;
    if (request.requestId < this.#openFrom) this.#setOpenFrom(request.requestId);
    this.#sql.exec(
      `INSERT INTO request (request_id, key_id, model_id, stream, cap_nano_usd, cap_period, state, admitted_at_ms,
         lease_until_ms, held_nano_usd, price_id, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd,
         account_cap_nano_usd, account_cap_period, tokens, background, token_id, token_cap_nano_usd, lineage_id, manager_id,
         manager_cap_nano_usd, manager_cap_period, conversation)
       VALUES (?, ?, ?, ?, ?, ?, 'held', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
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
      request.conversation,
    );
    this.#held.set(request.requestId, request);
  }

  setHold(request: HeldRequest, hold: Pick<HeldRequest, 'heldNanoUsd' | 'tokens' | 'holdExpiresAtMs'>): void {
    this.#sql.exec(
      'UPDATE request SET held_nano_usd = ?, tokens = ?, lease_until_ms = ? WHERE request_id = ?',
      hold.heldNanoUsd,
      hold.tokens,
      hold.holdExpiresAtMs,
      request.requestId,
    );
    this.#held.set(request.requestId, { ...request, ...hold });
  }

  /**
   * @param publication the number under which it is published, the part of its charge that granted credit paid, and the
   *   outcome of the billed node's receipt, if it has come already and agrees
   */
  end(
    record: RequestRecord,
    {
      outcome,
      ...publication
    }: { outboxSeq: number; grantedNanoUsd: NanoUsd; outcome: WalletReceipt['outcome'] | null },
  ): void {
    const mark = outcome === null ? NO_RECEIPT : markOf('with_request', outcome);
    const receiptAtMs = outcome === null ? null : record.endedAtMs;
    this.#sql.exec(
      `UPDATE request SET state = ?, ending = ?, node_id = ?, ended_at_ms = ?, held_nano_usd = 0, prompt_tokens = ?,
         cached_tokens = ?, completion_tokens = ?, reasoning_tokens = ?, charge_nano_usd = ?, entry_seq = ?, ttft_ms = ?,
         outbox_seq = ?, granted_nano_usd = ?, receipt = ?, receipt_at_ms = ?, early_receipt = NULL
       WHERE request_id = ?`,
      record.state,
      record.ending,
      record.nodeId,
      record.endedAtMs,
      record.usage.promptTokens,
      record.usage.cachedTokens,
      record.usage.completionTokens,
      record.usage.reasoningTokens,
      record.chargeNanoUsd,
      record.entrySeq,
      record.ttftMs,
      publication.outboxSeq,
      publication.grantedNanoUsd,
      mark,
      receiptAtMs,
      record.requestId,
    );
    this.#held.delete(record.requestId);
    if (record.chargeNanoUsd > 0 && outcome === null) this.#unproved.set(record.requestId, record);
    this.#unpublished.set(record.requestId, { ...publication, record, receiptAtMs });
  }

  // ---- receipts ----

  /**
   * Marks that the billed node's receipt has come and agrees with the bill.
   * @param late it is published alone, because its absence may have been published after the request
   * @param receiptSeq gives the number under which it is published, if it is published alone
   */
  prove(
    record: RequestRecord,
    outcome: WalletReceipt['outcome'],
    { late, nowMs, receiptSeq }: { late: boolean; nowMs: number; receiptSeq: () => number },
  ): void {
    const { requestId } = record;
    const unpublished = this.#unpublished.get(requestId);
    const isBegun = unpublished === undefined || unpublished.outboxSeq <= this.#begunSeq;
    const isAlone = isBegun || late;
    const mark = markOf(isAlone ? 'alone' : 'with_request', outcome);
    const outboxSeq = isAlone ? receiptSeq() : null;
    this.#sql.exec(
      'UPDATE request SET receipt = ?, receipt_at_ms = ?, receipt_seq = ? WHERE request_id = ?',
      mark,
      nowMs,
      outboxSeq,
      requestId,
    );
    this.#unproved.delete(requestId);
    // A start reads numbers and receipts from the least open id on.
    if (outboxSeq !== null && requestId < this.#openFrom) this.#setOpenFrom(requestId);
    if (outboxSeq !== null)
      this.#unpublishedReceipts.set(requestId, { outboxSeq, record, receiptAtMs: nowMs });
    else if (unpublished) this.#unpublished.set(requestId, { ...unpublished, receiptAtMs: nowMs });
  }

  /** Notes that no receipt is waited for: one that differs has come and has a row of its own, or its absence was published. */
  stopWaiting(requestId: string): void {
    this.#unproved.delete(requestId);
  }

  /** Whether an agreeing receipt has come, and whether it says that the whole answer was given. */
  proofOf(requestId: string): 'none' | 'came' | 'finished' {
    const mark = firstRow(this.#sql, 'SELECT receipt FROM request WHERE request_id = ?', requestId)?.receipt;
    if (typeof mark !== 'string' || mark === NO_RECEIPT) return 'none';
    return mark.toLowerCase() === MARKS.with_request.finished ? 'finished' : 'came';
  }

  /** Charged requests that ended in a span of time and whose node has sent no receipt, oldest first. */
  unproved({ afterMs, toMs }: { afterMs: number; toMs: number }, limit: number): RequestRecord[] {
    return [...this.#unproved.values()]
      .filter(({ endedAtMs }) => endedAtMs! > afterMs && endedAtMs! <= toMs)
      .sort((a, b) => a.endedAtMs! - b.endedAtMs!)
      .slice(0, limit);
  }

  /** When the first charged request ended whose node has sent no receipt; null: there is none. */
  nextUnprovedMs(): number | null {
    return leastOf([...this.#unproved.values()].map(({ endedAtMs }) => endedAtMs!));
  }

  // ---- holds ----

  /** Requests whose holds have expired, the longest expired first. */
  expired(nowMs: number): HeldRequest[] {
    return [...this.#held.values()]
      .filter(({ holdExpiresAtMs }) => holdExpiresAtMs < nowMs)
      .sort((a, b) => a.holdExpiresAtMs - b.holdExpiresAtMs);
  }

  /** When the next hold expires, at `afterMs` or later; null: none does. */
  nextHoldExpiryMs(afterMs: number): number | null {
    const times = [...this.#held.values()].map(({ holdExpiresAtMs }) => holdExpiresAtMs);
    return leastOf(times.filter((atMs) => atMs >= afterMs));
  }

  /** Requests that are held, or that ended after `afterMs`, which is at most a minute ago. */
  recent(afterMs: number): HeldRequest[] {
    return allRows(
      this.#sql,
      "SELECT * FROM request WHERE request_id >= ? AND (state = 'held' OR ended_at_ms > ?)",
      this.#openFrom,
      afterMs,
    ).map(toRequest);
  }

  // ---- publication ----

  /** Ended requests that D1 may not have, in the order of their numbers. */
  unpublished(): UnpublishedRequest[] {
    return [...this.#unpublished.values()].sort((a, b) => a.outboxSeq - b.outboxSeq);
  }

  /** Receipts that are published by themselves and that D1 may not have. */
  unpublishedReceipts(): UnpublishedReceipt[] {
    return [...this.#unpublishedReceipts.values()];
  }

  hasUnpublished(): boolean {
    return this.#unpublished.size + this.#unpublishedReceipts.size > 0;
  }

  /** Whether nothing is to be waited for: each unpublished request cost nothing or has its receipt. */
  isComplete(): boolean {
    return [...this.#unpublished.keys()].every((requestId) => !this.#unproved.has(requestId));
  }

  /** A publication of everything up to this number begins: receipts that come from now on are published alone. */
  begin(outboxSeq: number): void {
    this.#begunSeq = Math.max(this.#begunSeq, outboxSeq);
  }

  /** D1 has everything up to this number. */
  published(outboxSeq: number): void {
    this.#publishedSeq = Math.max(this.#publishedSeq, outboxSeq);
    for (const items of [this.#unpublished, this.#unpublishedReceipts])
      for (const [requestId, { outboxSeq }] of items)
        if (outboxSeq <= this.#publishedSeq) items.delete(requestId);
  }

  // ---- checkpoint ----

  /** The facts that a restart has to know: the number up to which D1 has requests, and the least id of an open one. */
  checkpoint(nowMs: number): { publishedSeq: number; openFrom: string } {
    const open = this.#known().flatMap((requests) => [...requests.keys()]);
    this.#openFrom = open.reduce((least, id) => [least, id].sort()[0]!, firstIdAt('req', nowMs - RECENT_MS));
    return { publishedSeq: this.#publishedSeq, openFrom: this.#openFrom };
  }

  #setOpenFrom(requestId: string): void {
    this.#openFrom = requestId;
    this.#sql.exec('UPDATE checkpoint SET open_from = ?', requestId);
  }

  /** Whether a request that ended before `beforeMs` is named by what a restart would read after the checkpoint. */
  needsCheckpoint(beforeMs: number): boolean {
    const query = `SELECT 1 FROM request AS r WHERE request_id < ? AND state <> 'held' AND ended_at_ms < ?
      AND (entry_seq > (SELECT seq FROM checkpoint) OR max(coalesce(r.outbox_seq, 0), coalesce(r.receipt_seq, 0)) > (SELECT published_seq FROM checkpoint)) LIMIT 1`;
    return firstRow(this.#sql, query, firstIdAt('req', beforeMs + SKEW_MS), beforeMs) !== null;
  }

  /** Forgets requests that ended before `beforeMs`, except those that D1 may not have. */
  trim(beforeMs: number): void {
    this.#sql.exec(
      `DELETE FROM request WHERE request_id < ? AND state <> 'held' AND ended_at_ms < ?
         AND max(coalesce(outbox_seq, 0), coalesce(receipt_seq, 0)) <= (SELECT published_seq FROM checkpoint)`,
      firstIdAt('req', beforeMs + SKEW_MS),
      beforeMs,
    );
  }
}

function markOf(publication: ReceiptPublication, outcome: WalletReceipt['outcome']): string {
  return MARKS[publication][outcome === 'finished' ? 'finished' : 'other'];
}

function leastOf(times: readonly number[]): number | null {
  return times.length === 0 ? null : times.reduce((least, each) => Math.min(least, each));
}
