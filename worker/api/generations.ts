/** GET /v1/generations/{request_id}: one request and the arithmetic of its price, there as soon as it has ended. */
import type { Context } from 'hono';
import { database } from '../db/client.ts';
import { findRequest } from '../db/requests.ts';
import { isId } from '../domain/ids.ts';
import { formatUsd, type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';
import { authenticate } from '../gateway/authenticate.ts';
import { refusalResponse } from '../gateway/refusal.ts';

export async function getGeneration(c: Context<{ Bindings: Env }>): Promise<Response> {
  const { publicOrigin } = config(c.env);
  const who = await authenticate(c.req.raw, c.env, Date.now());
  if (!who.ok) return refusalResponse(who.refusal, publicOrigin);
  const id = c.req.param('id') ?? '';
  const { accountId } = who.principal;
  const record = isId('req', id)
    ? ((await c.env.WALLET.getByName(accountId).request(id)) ??
      (await findRequest(database(c.env), { accountId, requestId: id })))
    : null;
  if (!record) return refusalResponse({ reason: 'request_not_found' }, publicOrigin);
  return c.json(describe(record, await c.env.WALLET.getByName(accountId).givenBack(id)));
}

function describe(record: RequestRecord, givenBackNanoUsd: NanoUsd) {
  const { usage, price } = record;
  const uncachedTokens = usage.promptTokens - usage.cachedTokens;
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
    arithmetic: [
      line('cached prompt tokens', usage.cachedTokens, price.cacheHitNanoUsd),
      line('uncached prompt tokens', uncachedTokens, price.cacheMissNanoUsd),
      line('completion tokens', usage.completionTokens, price.outputNanoUsd),
    ],
    charge: formatUsd(record.chargeNanoUsd),
    charge_nano_usd: record.chargeNanoUsd,
    /** the same work had been paid before, under the same Idempotency-Key */
    given_back: formatUsd(givenBackNanoUsd),
    held: formatUsd(record.heldNanoUsd),
    ledger_entry: record.entrySeq,
  };
}

function line(what: string, tokens: number, priceNanoUsd: number) {
  const amount: NanoUsd = nanoUsd(tokens * priceNanoUsd);
  return { what, tokens, usd_per_token: formatUsd(nanoUsd(priceNanoUsd)), amount: formatUsd(amount) };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
