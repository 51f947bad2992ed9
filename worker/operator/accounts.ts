/**
 * The operator API's limits of accounts, and their suspension and resumption. Account ids, grants and ledger audits
 * are in index.ts.
 */
import { Hono } from 'hono';
import * as z from 'zod';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { changeAccountLimits, LIMIT_BOUNDS } from '../identity/account-limits.ts';
import { suspendAccount } from '../identity/suspend.ts';
import type { OperatorEnv } from './token.ts';

const within = ({ min, max }: { min: number; max: number }) => z.int().min(min).max(max);

const LimitsRequest = z
  .strictObject({
    requests_per_minute: within(LIMIT_BOUNDS.requestsPerMinute),
    /** null: no limit. */
    tokens_per_minute: within(LIMIT_BOUNDS.tokensPerMinute).nullable(),
    concurrency: within(LIMIT_BOUNDS.concurrency),
  })
  .partial()
  .refine((limits) => Object.keys(limits).length > 0, 'must name at least one limit');

export const accountsApi = new Hono<OperatorEnv>();

accountsApi.patch('/:id/limits', async (c) => {
  const body = await parseBody(c, LimitsRequest);
  if (body instanceof Response) return body;
  const limits = {
    ...(body.requests_per_minute !== undefined && { requestsPerMinute: body.requests_per_minute }),
    ...(body.tokens_per_minute !== undefined && { tokensPerMinute: body.tokens_per_minute }),
    ...(body.concurrency !== undefined && { concurrency: body.concurrency }),
  };
  const accountId = c.req.param('id');
  const changed = await changeAccountLimits(c.env, {
    accountId,
    limits,
    actor: c.get('actor'),
    nowMs: Date.now(),
  });
  if (changed === null) return refuse(c, 'account_not_found');
  return c.json({
    id: accountId,
    requests_per_minute: changed.requestsPerMinute,
    tokens_per_minute: changed.tokensPerMinute,
    concurrency: changed.concurrency,
  });
});

for (const verb of ['suspend', 'resume'] as const) {
  accountsApi.post(`/:id/${verb}`, async (c) => {
    const { id: accountId } = c.req.param();
    const order = { accountId, suspended: verb === 'suspend', actor: c.get('actor'), nowMs: Date.now() };
    const changed = await suspendAccount(c.env, order);
    if (changed === null) return refuse(c, 'account_not_found');
    return c.json({ id: accountId, suspended_at_ms: changed.suspendedAtMs });
  });
}
