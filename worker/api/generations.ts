/** GET /v1/generations/{request_id}: one request and the arithmetic of its price, available as soon as it has ended. */
import { type BillLine, billOf } from '../domain/bill.ts';
import { formatUsd } from '../domain/money.ts';

import type { ApiContext } from '../http/response-headers.ts';
import { type FoundRequest, findAccountRequest } from '../wallet/find-request.ts';
import { respondWithError } from './respond-with-error.ts';

const LINES: Record<BillLine['kind'], string> = {
  cached: 'cached prompt tokens',
  uncached: 'uncached prompt tokens',
  output: 'completion tokens',
};

export async function getGeneration(c: ApiContext): Promise<Response> {
  const which = { accountId: c.get('principal').accountId, requestId: c.req.param('id') ?? '' };
  const request = await findAccountRequest(c.env, which);
  return request ? c.json(describe(request)) : respondWithError(c, { reason: 'request_not_found' });
}

function describe({ record, creditedBackNanoUsd }: FoundRequest) {
  const { usage, price } = record;
  return {
    id: record.requestId,
    object: 'generation',
    model: record.modelId,
    key_id: record.keyId,
    node_id: record.nodeId,
    stream: record.stream,
    state: record.state,
    ending: record.ending,
    admitted_at: iso(record.admittedAtMs),
    ended_at: record.endedAtMs === null ? null : iso(record.endedAtMs),
    ttft_ms: record.ttftMs,
    usage: {
      prompt_tokens: usage.promptTokens,
      cached_tokens: usage.cachedTokens,
      completion_tokens: usage.completionTokens,
      reasoning_tokens: usage.reasoningTokens,
    },
    price_version: price.id,
    arithmetic: billOf(usage, price).lines.map((line) => ({
      what: LINES[line.kind],
      tokens: line.tokens,
      usd_per_token: formatUsd(line.perTokenNanoUsd),
      amount: formatUsd(line.amountNanoUsd),
    })),
    charge: formatUsd(record.chargeNanoUsd),
    charge_nano_usd: record.chargeNanoUsd,
    /** credited back, because the same Idempotency-Key had already paid for this work */
    given_back: formatUsd(creditedBackNanoUsd),
    held: formatUsd(record.heldNanoUsd),
    ledger_entry: record.entrySeq,
  };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
