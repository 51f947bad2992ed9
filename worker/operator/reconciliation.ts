/** The operator API's reconciliation: the figures that the console shows, and the closing of a finding. */
import { Hono } from 'hono';
import * as z from 'zod';
import { closeFinding, DRIFT_KINDS, readReconciliation } from '../billing/reconciliation.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { NameText } from '../http/fields.ts';
import { iso } from './fields.ts';
import type { OperatorEnv } from './token.ts';

const Closing = z.strictObject({
  request_id: z.string().max(64),
  node_id: z.string().max(64).default(''),
  kind: z.enum(DRIFT_KINDS),
  note: NameText(500),
});

export const reconciliationApi = new Hono<OperatorEnv>();

reconciliationApi.get('/', async (c) => {
  const read = await readReconciliation(c.env, Date.now());
  return c.json({
    findings: read.findings.map((row) => ({
      request_id: row.requestId,
      account_id: row.accountId,
      node_id: row.nodeId || null,
      kind: row.kind,
      found_at: iso(row.foundAtMs),
      detail: row.detail,
    })),
    counted_since: iso(read.countedSinceMs),
    counted: read.counted.map((row) => ({
      node_id: row.nodeId,
      write_off_reason: row.reason || null,
      receipts: row.receipts,
      prompt_tokens: row.promptTokens,
      completion_tokens: row.completionTokens,
      written_off_prompt_tokens: row.writtenOffPromptTokens,
      written_off_completion_tokens: row.writtenOffCompletionTokens,
    })),
    newest_receipts: read.newest.map((row) => ({
      node_id: row.nodeId,
      received_at: iso(row.receivedAtMs),
      delay_ms: row.endedAtMs === null ? null : row.receivedAtMs - row.endedAtMs,
    })),
    waiting: { requests: read.waiting },
  });
});

reconciliationApi.post('/close', async (c) => {
  const body = await parseBody(c, Closing);
  if (body instanceof Response) return body;
  const { request_id, node_id, kind, note } = body;
  const key = { requestId: request_id, nodeId: node_id, kind };
  const closed = await closeFinding(c.env, { key, note, actor: c.get('actor'), nowMs: Date.now() });
  return closed ? c.json({ request_id, kind, closed: true }) : refuse(c, 'finding_not_open');
});
