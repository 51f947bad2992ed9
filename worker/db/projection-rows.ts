/** What Wallets tell D1, as rows by the columns of their tables; rollups are summed here, not by D1. */
import type { OutboxItemOf, UsageRecord } from '../domain/outbox.ts';
import type { SettledReceipt } from './projection-receipts.ts';

export type Row = Readonly<Record<string, string | number | null>>;

/** D1 takes 2 MB a string; a character is three bytes at most. */
const PART_CHARS_MAX = 600_000;
const HOUR_MS = 3_600_000;

/** The rows as JSON arrays in the order of the columns, in as few texts as D1 takes. */
export function inParts(columns: readonly string[], rows: readonly Row[]): string[] {
  const parts: string[][] = [];
  let chars = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    const text = JSON.stringify(columns.map((column) => row[column]));
    if (chars + text.length > PART_CHARS_MAX) {
      parts.push([]);
      chars = 0;
    }
    parts.at(-1)!.push(text);
    chars += text.length;
  }
  return parts.map((part) => `[${part.join(',')}]`);
}

/** The same for what is always small. */
export function inOne(columns: readonly string[], rows: readonly Row[]): string {
  return JSON.stringify(rows.map((row) => columns.map((column) => row[column])));
}

// ---- rows of their own ----

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

export function late({ receipt, receivedAtMs }: SettledReceipt): Row {
  return { request_id: receipt.requestId, node_id: receipt.nodeId, received_at_ms: receivedAtMs };
}

export function lateOfWitnessed({ late, nodeId, receivedAtMs }: OutboxItemOf<'witnessed'>): Row[] {
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

// ---- sums ----

export function usageHours(requests: readonly UsageRecord[]): Row[] {
  return summed(requests, (request) => ({
    name: { hour_ms: hourOf(request.admittedAtMs), key_id: request.keyId, model_id: request.modelId },
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
    name: { node_id: request.nodeId, hour_ms: hourOf(request.admittedAtMs) },
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
  witnessed: readonly OutboxItemOf<'witnessed'>[],
  receipts: readonly SettledReceipt[],
): Row[] {
  const counted = [
    ...witnessed.map((item) => ({ ...item, reason: '', writtenOffPrompt: 0, writtenOffCompletion: 0 })),
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
    name: { node_id: each.nodeId, hour_ms: hourOf(each.receivedAtMs), reason: each.reason },
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
    name: { key_id: keyId },
    newest: { at_ms: admittedAtMs },
  }));
}

/** What the requests of each price used and cost, for D1 to recompute from its own prices. */
export function priceSums(requests: readonly UsageRecord[]): Row[] {
  return summed(requests, ({ price, usage, chargeNanoUsd }) => ({
    name: { price_id: price.id },
    sums: {
      cached_tokens: usage.cachedTokens,
      uncached_tokens: usage.promptTokens - usage.cachedTokens,
      completion_tokens: usage.completionTokens,
      charge_nano_usd: chargeNanoUsd,
    },
  }));
}

/** What is added to the account's counters; findings that were explained are taken off by D1. */
export function counts(told: {
  requests: readonly UsageRecord[];
  witnessed: readonly OutboxItemOf<'witnessed'>[];
  receipts: readonly SettledReceipt[];
  drift: readonly OutboxItemOf<'drift'>[];
}): { billed: number; witnessed: number; missed: number } {
  const alike = told.witnessed.reduce((sum, item) => sum + item.receipts, 0);
  return {
    billed: told.requests.filter(({ chargeNanoUsd, nodeId }) => chargeNanoUsd > 0 && nodeId !== null).length,
    witnessed: alike + told.receipts.filter(({ isWitness }) => isWitness).length,
    missed: told.drift.filter(({ drift, nodeId }) => drift === 'receipt_missing' && nodeId !== '').length,
  };
}

interface Summand {
  readonly name: Row;
  readonly sums?: Readonly<Record<string, number>>;
  readonly newest?: Readonly<Record<string, number>>;
}

/** A row for each name: what is to be summed is summed, of what is to be newest the greatest is kept. */
function summed<T>(things: readonly T[], partOf: (thing: T) => Summand): Row[] {
  const rows = new Map<string, Record<string, string | number | null>>();
  for (const thing of things) {
    const { name, sums = {}, newest = {} } = partOf(thing);
    const key = JSON.stringify(name);
    const row = rows.get(key);
    if (!row) {
      rows.set(key, { ...name, ...sums, ...newest });
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
