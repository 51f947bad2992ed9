/**
 * Outbox items as table rows, keyed by column name. Rollups are summed here rather than in D1, which bills each row
 * written.
 */
import type { OutboxItemOf, UsageRecord } from '../domain/outbox.ts';
import type { SettledReceipt } from './projection-receipts.ts';
import type { Row } from './projection-sql.ts';

/** D1 takes strings of up to 2 MB, and a character is at most three bytes in UTF-8: this stays below it. */
const CHUNK_CHARS_MAX = 600_000;
const HOUR_MS = 3_600_000;

/** Encodes rows as JSON arrays in column order, split into as few strings as D1's limit allows. */
export function toJsonChunks(columns: readonly string[], rows: readonly Row[]): string[] {
  const chunks: string[][] = [];
  let chars = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    const text = JSON.stringify(columns.map((column) => row[column]));
    if (chars + text.length > CHUNK_CHARS_MAX) {
      chunks.push([]);
      chars = 0;
    }
    chunks.at(-1)!.push(text);
    chars += text.length;
  }
  return chunks.map((chunk) => `[${chunk.join(',')}]`);
}

/** Encodes rows as one JSON string, for sets that are always small. */
export function toJson(columns: readonly string[], rows: readonly Row[]): string {
  return JSON.stringify(rows.map((row) => columns.map((column) => row[column])));
}

// ---- one row per item ----

export function usage(request: UsageRecord): Row {
  return {
    request_id: request.requestId,
    key_id: request.keyId,
    model_id: request.modelId,
    node_id: request.nodeId,
    admitted_at_ms: request.admittedAtMs,
    ended_at_ms: request.endedAtMs,
    state: request.state,
    ending: request.ending,
    stream: request.stream ? 1 : 0,
    prompt_tokens: request.usage.promptTokens,
    cached_tokens: request.usage.cachedTokens,
    completion_tokens: request.usage.completionTokens,
    reasoning_tokens: request.usage.reasoningTokens,
    price_id: request.price.id,
    charge_nano_usd: request.chargeNanoUsd,
    granted_nano_usd: request.grantedNanoUsd,
    entry_seq: request.entrySeq,
    ttft_ms: request.ttftMs,
  };
}

export function entry({ entry }: OutboxItemOf<'entry'>): Row {
  return {
    seq: entry.seq,
    at_ms: entry.atMs,
    kind: entry.kind,
    granted_nano_usd: entry.grantedNanoUsd,
    paid_nano_usd: entry.paidNanoUsd,
    balance_nano_usd: entry.balanceNanoUsd,
    reference: entry.reference,
    hash: entry.hash,
  };
}

export function receipt({ receipt, receivedAtMs, writeOff }: SettledReceipt): Row {
  return {
    request_id: receipt.requestId,
    node_id: receipt.nodeId,
    received_at_ms: receivedAtMs,
    outcome: receipt.outcome,
    prompt_tokens: receipt.usage.promptTokens,
    cached_tokens: receipt.usage.cachedTokens,
    completion_tokens: receipt.usage.completionTokens,
    reasoning_tokens: receipt.usage.reasoningTokens,
    written_off_prompt_tokens: writeOff.promptTokens,
    written_off_completion_tokens: writeOff.completionTokens,
    write_off_reason: writeOff.reason,
  };
}

export function lateReceipt({ receipt, receivedAtMs }: SettledReceipt): Row {
  return { request_id: receipt.requestId, node_id: receipt.nodeId, received_at_ms: receivedAtMs };
}

/** 'witnessed' is the stored kind of the item that counts one node's matched receipts. */
export function lateReceiptsOfMatched({ late, nodeId, receivedAtMs }: OutboxItemOf<'witnessed'>): Row[] {
  return late.map((requestId) => ({
    request_id: requestId,
    node_id: nodeId,
    received_at_ms: receivedAtMs,
  }));
}

export function drift({ requestId, nodeId, drift, foundAtMs, detail }: OutboxItemOf<'drift'>): Row {
  return {
    request_id: requestId,
    node_id: nodeId,
    kind: drift,
    found_at_ms: foundAtMs,
    detail: JSON.stringify(detail),
  };
}

export function notice({ notification: { id, atMs, notice } }: OutboxItemOf<'notice'>): Row {
  return { id, at_ms: atMs, kind: notice.kind, facts: JSON.stringify(notice) };
}

// ---- sums over items ----

export function usageHours(requests: readonly UsageRecord[]): Row[] {
  return summed(requests, (request) => ({
    key: { hour_ms: hourOf(request.admittedAtMs), key_id: request.keyId, model_id: request.modelId },
    sums: {
      requests: 1,
      cached_tokens: request.usage.cachedTokens,
      uncached_tokens: request.usage.promptTokens - request.usage.cachedTokens,
      reasoning_tokens: request.usage.reasoningTokens,
      answer_tokens: request.usage.completionTokens - request.usage.reasoningTokens,
      charge_nano_usd: request.chargeNanoUsd,
      cache_saving_nano_usd:
        request.usage.cachedTokens * (request.price.cacheMissNanoUsd - request.price.cacheHitNanoUsd),
    },
  }));
}

export function nodeHours(requests: readonly UsageRecord[]): Row[] {
  const served = requests.filter(({ nodeId }) => nodeId !== null);
  return summed(served, (request) => ({
    key: { node_id: request.nodeId, hour_ms: hourOf(request.admittedAtMs) },
    sums: {
      requests: 1,
      prompt_tokens: request.usage.promptTokens,
      cached_tokens: request.usage.cachedTokens,
      completion_tokens: request.usage.completionTokens,
      charge_nano_usd: request.chargeNanoUsd,
      granted_nano_usd: request.grantedNanoUsd,
    },
  }));
}

export function receiptHours(
  matched: readonly OutboxItemOf<'witnessed'>[],
  receipts: readonly SettledReceipt[],
): Row[] {
  const counted = [
    ...matched.map((item) => ({ ...item, reason: '', writtenOffPrompt: 0, writtenOffCompletion: 0 })),
    ...receipts.map(({ receipt, receivedAtMs, writeOff, endedAtMs }) => ({
      ...receipt.usage,
      nodeId: receipt.nodeId,
      receivedAtMs,
      receipts: 1,
      newestEndedAtMs: endedAtMs ?? 0,
      reason: writeOff.reason ?? '',
      writtenOffPrompt: writeOff.promptTokens,
      writtenOffCompletion: writeOff.completionTokens,
    })),
  ];
  return summed(counted, (each) => ({
    key: { node_id: each.nodeId, hour_ms: hourOf(each.receivedAtMs), reason: each.reason },
    sums: {
      receipts: each.receipts,
      prompt_tokens: each.promptTokens,
      completion_tokens: each.completionTokens,
      written_off_prompt_tokens: each.writtenOffPrompt,
      written_off_completion_tokens: each.writtenOffCompletion,
    },
    newest: { newest_received_at_ms: each.receivedAtMs, newest_ended_at_ms: each.newestEndedAtMs },
  }));
}

export function keysUsed(requests: readonly UsageRecord[]): Row[] {
  return summed(requests, ({ keyId, admittedAtMs }) => ({
    key: { key_id: keyId },
    newest: { at_ms: admittedAtMs },
  }));
}

/** Token and charge sums for each price, which D1 checks against its own price rows. */
export function priceSums(requests: readonly UsageRecord[]): Row[] {
  return summed(requests, ({ price, usage, chargeNanoUsd }) => ({
    key: { price_id: price.id },
    sums: {
      cached_tokens: usage.cachedTokens,
      uncached_tokens: usage.promptTokens - usage.cachedTokens,
      completion_tokens: usage.completionTokens,
      charge_nano_usd: chargeNanoUsd,
    },
  }));
}

/**
 * Increments of the account's counters in `projection`. D1 subtracts the missing-receipt findings that late receipts
 * explain.
 */
export function counts(published: {
  requests: readonly UsageRecord[];
  matched: readonly OutboxItemOf<'witnessed'>[];
  receipts: readonly SettledReceipt[];
  drift: readonly OutboxItemOf<'drift'>[];
}): { billed: number; receiptMatched: number; missed: number } {
  const matched = published.matched.reduce((sum, item) => sum + item.receipts, 0);
  return {
    billed: published.requests.filter(({ chargeNanoUsd, nodeId }) => chargeNanoUsd > 0 && nodeId !== null)
      .length,
    receiptMatched: matched + published.receipts.filter(({ receiptMatched }) => receiptMatched).length,
    missed: published.drift.filter(({ drift, nodeId }) => drift === 'receipt_missing' && nodeId !== '')
      .length,
  };
}

interface Summand {
  /** The columns that identify the row. */
  readonly key: Row;
  readonly sums?: Readonly<Record<string, number>>;
  readonly newest?: Readonly<Record<string, number>>;
}

/** Groups items by `key`: `sums` are added up, of `newest` the greatest value is kept. */
function summed<T>(items: readonly T[], summandOf: (item: T) => Summand): Row[] {
  const rows = new Map<string, Record<string, string | number | null>>();
  for (const item of items) {
    const { key, sums = {}, newest = {} } = summandOf(item);
    const keyText = JSON.stringify(key);
    const row = rows.get(keyText);
    if (!row) {
      rows.set(keyText, { ...key, ...sums, ...newest });
      continue;
    }
    for (const column in sums) row[column] = Number(row[column]) + sums[column]!;
    for (const column in newest) row[column] = Math.max(Number(row[column]), newest[column]!);
  }
  return [...rows.values()];
}

function hourOf(atMs: number): number {
  return atMs - (atMs % HOUR_MS);
}
