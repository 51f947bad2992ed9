/** The operator API's own tokens: the existing ones, a new one, and the end of one. The console offers the same. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../db/client.ts';
import { listOperatorTokens, revokeOperatorToken } from '../db/operator-tokens.ts';
import { OPERATOR_SCOPES, OPERATOR_TOKEN_DAYS_MAX, OPERATOR_TOKEN_NAME } from '../domain/operator-scopes.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { makeOperatorToken } from '../identity/operator-tokens.ts';
import { iso } from './fields.ts';
import type { OperatorEnv } from './token.ts';

const TokenRequest = z.strictObject({
  name: z
    .string()
    .regex(OPERATOR_TOKEN_NAME, 'must be 1 to 40 small letters, digits, dots, dashes or underscores'),
  scopes: z.array(z.enum(OPERATOR_SCOPES)).min(1, 'must name at least one scope').max(OPERATOR_SCOPES.length),
  expires_in_days: z.int().min(1).max(OPERATOR_TOKEN_DAYS_MAX),
});

export const tokensApi = new Hono<OperatorEnv>();

tokensApi.get('/', async (c) => {
  const tokens = await listOperatorTokens(database(c.env));
  return c.json({
    tokens: tokens.map((row) => ({
      id: row.id,
      name: row.name,
      last_four: row.lastFour,
      scopes: row.scopes,
      created_by: row.createdBy,
      created_at: iso(row.createdAtMs),
      expires_at: iso(row.expiresAtMs),
      revoked_at: row.revokedAtMs === null ? null : iso(row.revokedAtMs),
      last_used_at: row.lastUsedAtMs === null ? null : iso(row.lastUsedAtMs),
    })),
  });
});

tokensApi.post('/', async (c) => {
  const body = await parseBody(c, TokenRequest);
  if (body instanceof Response) return body;
  const { name, expires_in_days: days } = body;
  const scopes = [...new Set(body.scopes)];
  const made = await makeOperatorToken(c.env, {
    name,
    scopes,
    days,
    actor: c.get('actor'),
    nowMs: Date.now(),
  });
  if (made === null) return refuse(c, 'operator_token_not_made', { param: 'name' });
  return c.json({ id: made.id, name, token: made.token, scopes, expires_at: iso(made.expiresAtMs) }, 201);
});

tokensApi.post('/:id/revoke', async (c) => {
  const id = c.req.param('id');
  const revoked = await revokeOperatorToken(database(c.env), {
    id,
    actor: c.get('actor'),
    nowMs: Date.now(),
  });
  return revoked ? c.json({ id, revoked: true }) : refuse(c, 'operator_token_not_found');
});
