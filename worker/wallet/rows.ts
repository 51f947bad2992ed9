/** Reads rows of the Wallet's tables into the types that the rest of the Wallet uses. */
import type { Ending, RequestState } from '../domain/hold.ts';
import type { Entry, EntryKind } from '../domain/ledger.ts';
import type { Cap, SharedCaps } from '../domain/limits.ts';
import { nanoUsd } from '../domain/money.ts';
import type { Usage } from '../domain/usage.ts';
import type { WalletReceipt } from '../domain/wallet.ts';
import type { HeldRequest } from './held-request.ts';

export type Row = Record<string, SqlStorageValue>;

export function allRows(sql: SqlStorage, query: string, ...bindings: SqlStorageValue[]): Row[] {
  return sql.exec<Row>(query, ...bindings).toArray();
}

/** The first row, or null when there is none. */
export function firstRow(sql: SqlStorage, query: string, ...bindings: SqlStorageValue[]): Row | null {
  return allRows(sql, query, ...bindings)[0] ?? null;
}

export function toEntry(row: Row): Entry {
  return {
    seq: row.seq as number,
    atMs: row.at_ms as number,
    kind: row.kind as EntryKind,
    reference: row.reference as string,
    grantedNanoUsd: nanoUsd(row.granted_nano_usd as number),
    paidNanoUsd: nanoUsd(row.paid_nano_usd as number),
    balanceNanoUsd: nanoUsd(row.balance_nano_usd as number),
    hash: row.hash as string,
  };
}

export function toRequest(row: Row): HeldRequest {
  return {
    requestId: row.request_id as string,
    keyId: row.key_id as string,
    modelId: row.model_id as string,
    stream: row.stream === 1,
    state: row.state as RequestState,
    ending: row.ending as Ending | null,
    nodeId: row.node_id as string | null,
    admittedAtMs: row.admitted_at_ms as number,
    endedAtMs: row.ended_at_ms as number | null,
    heldNanoUsd: nanoUsd(row.held_nano_usd as number),
    price: {
      id: row.price_id as string,
      cacheHitNanoUsd: row.cache_hit_nano_usd as number,
      cacheMissNanoUsd: row.cache_miss_nano_usd as number,
      outputNanoUsd: row.output_nano_usd as number,
    },
    usage: toUsage(row),
    chargeNanoUsd: nanoUsd(row.charge_nano_usd as number),
    entrySeq: row.entry_seq as number | null,
    ttftMs: row.ttft_ms as number | null,
    caps: {
      key: toCap(row.cap_nano_usd, row.cap_period),
      account: toCap(row.account_cap_nano_usd, row.account_cap_period),
      ...toShared(row),
    },
    tokens: row.tokens as number,
    holdExpiresAtMs: row.lease_until_ms as number,
    background: row.background === 1,
    conversation: (row.conversation as number | null | undefined) ?? null,
    token:
      row.token_id === null
        ? null
        : { id: row.token_id as string, capNanoUsd: nanoUsd(row.token_cap_nano_usd as number) },
  };
}

export function toReceipt(row: Row): WalletReceipt {
  return {
    requestId: row.request_id as string,
    nodeId: row.node_id as string,
    outcome: row.outcome as WalletReceipt['outcome'],
    usage: toUsage(row),
    ttftMs: row.ttft_ms as number | null,
    ticket: row.ticket as string | null,
  };
}

function toShared(row: Row): { shared?: SharedCaps } {
  const lineageId = row.lineage_id as string | null;
  const managerId = row.manager_id as string | null;
  if (lineageId === null && managerId === null) return {};
  const cap = toCap(row.manager_cap_nano_usd, row.manager_cap_period);
  return { shared: { lineageId, manager: managerId === null ? null : { keyId: managerId, ...cap } } };
}

function toCap(amount: SqlStorageValue | undefined, period: SqlStorageValue | undefined): Cap {
  return {
    capNanoUsd: typeof amount === 'number' ? nanoUsd(amount) : null,
    capPeriod: period as Cap['capPeriod'],
  };
}

/** Usage of a row of `request` or `receipt`, or of a request inside a settlement group, which has the same columns. */
export function toUsage(columns: object): Usage {
  const row = columns as Record<
    'prompt_tokens' | 'cached_tokens' | 'completion_tokens' | 'reasoning_tokens',
    number
  >;
  return {
    promptTokens: row.prompt_tokens,
    cachedTokens: row.cached_tokens,
    completionTokens: row.completion_tokens,
    reasoningTokens: row.reasoning_tokens,
  };
}
