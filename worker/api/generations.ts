/** GET /v1/generations/{request_id}: one request and the arithmetic of its price, there as soon as it has ended. */
import { type BillLine, billOf } from '../domain/bill.ts';
import { formatUsd } from '../domain/money.ts';
import { config } from '../env.ts';
import { errorResponse } from '../http/api-error.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { type FoundRequest, findAccountRequest } from '../wallet/find-request.ts';

const LINES: Record<BillLine['kind'], string> = {
  cached: 'cached prompt tokens',
  uncached: 'uncached prompt tokens',
  output: 'completion tokens',
};

export async function getGeneration(c: ApiContext): Promise<Response> {
  const { publicOrigin } = config(c.env);
  const asked = { accountId: c.get('principal').accountId, requestId: c.req.param('id') ?? '' };
  const found = await findAccountRequest(c.env, asked);
  return found ? c.json(describe(found)) : errorResponse({ reason: 'request_not_found' }, publicOrigin);
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
    /** the same work had been paid before, under the same Idempotency-Key */
    given_back: formatUsd(creditedBackNanoUsd),
    held: formatUsd(record.heldNanoUsd),
    ledger_entry: record.entrySeq,
  };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
