/** The operator API's ends of models: announce one or move it later, and withdraw one. The console offers the same. */
import { Hono } from 'hono';
import * as z from 'zod';
import { announceEnd, type EndModelFault, withdrawEnd } from '../billing/end-model.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { Instant, iso } from './fields.ts';
import type { OperatorEnv } from './token.ts';

const EndRequest = z.strictObject({
  ends_at: Instant,
  /** Id of the model that is recommended in its place; null: none is. */
  successor: z.string().max(128).nullable(),
  /** The model's id: an end that is announced cannot be moved forward. */
  confirm: z.string().max(128).default(''),
});

/** The field that each refusal names. */
const PARAMS: Partial<Record<EndModelFault, string>> = {
  end_too_soon: 'ends_at',
  end_moved_forward: 'ends_at',
  successor_unknown: 'successor',
  successor_ends_first: 'successor',
  end_unconfirmed: 'confirm',
};

export const modelEndsApi = new Hono<OperatorEnv>();

modelEndsApi.post('/:id/end', async (c) => {
  const body = await parseBody(c, EndRequest);
  if (body instanceof Response) return body;
  const modelId = c.req.param('id');
  const { ends_at: endsAtMs, successor: successorId, confirm } = body;
  const command = { modelId, endsAtMs, successorId, confirm, actor: c.get('actor'), nowMs: Date.now() };
  const fault = await announceEnd(c.env, command);
  if (fault !== null) return refuse(c, fault, { ...(PARAMS[fault] && { param: PARAMS[fault] }) });
  return c.json({ model: modelId, ends_at: iso(endsAtMs), successor: successorId });
});

modelEndsApi.post('/:id/end/withdraw', async (c) => {
  const modelId = c.req.param('id');
  const fault = await withdrawEnd(c.env, { modelId, actor: c.get('actor'), nowMs: Date.now() });
  return fault === null ? c.json({ model: modelId, ends_at: null, successor: null }) : refuse(c, fault);
});
