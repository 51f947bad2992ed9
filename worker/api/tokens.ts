/** POST /v1/tokens: a key makes a token for a browser or a phone, which ends soon and can spend little. */
import { z } from 'zod';
import { findModel } from '../db/catalogue.ts';
import { newId } from '../domain/ids.ts';
import { formatUsd } from '../domain/money.ts';
import { config } from '../env.ts';
import { signClientToken } from '../fleet/edge-keys.ts';
import type { ApiContext } from '../gateway/answer-headers.ts';
import { readFields } from '../gateway/dialects/fields.ts';
import { catalogue } from '../gateway/isolate.ts';
import { readJsonObject } from '../gateway/read.ts';
import { type Refusal, refused } from '../gateway/refusal.ts';
import { UsdText } from './usd.ts';

/** It cannot be taken back by itself, only with its key: an hour is what a page stays open. */
const LIFETIME_S_MAX = 3_600;

export const TokenBody = z.object({
  expires_in: z.int().min(1).max(LIFETIME_S_MAX).default(600),
  /** what it may spend in all */
  cap: UsdText.refine((value) => value > 0, 'must be more than 0'),
  /** absent: those of the key */
  models: z.array(z.string().max(256)).min(1).max(100).nullish(),
});

export async function mintToken(c: ApiContext): Promise<Response> {
  const refuse = (refusal: Refusal) => refused(refusal, config(c.env).publicOrigin);
  const read = await readJsonObject(c.req.raw);
  if (!read.ok) return refuse(read.refusal);
  const body = readFields(TokenBody, read.body, new Headers());
  if (!body.ok) return refuse(body.refusal);
  const { cap, expires_in: expiresInS, models: names } = body.fields;
  const { keyId, models: allowed, expiresAtMs: keyEndsMs } = c.get('principal');
  const nowMs = Date.now();
  const known = await catalogue(c.env, nowMs);
  const models = names ? names.map((name) => findModel(known, name)?.id ?? null) : null;
  const wrong = models?.findIndex((id) => id === null || (allowed !== null && !allowed.includes(id))) ?? -1;
  if (wrong >= 0) {
    const param = `models[${wrong}]`;
    return refuse({
      reason: 'invalid_field',
      param,
      message: `\`${param}\`: no model that this key may use.`,
    });
  }
  const id = newId('tok', nowMs);
  const claims = { jti: id, key: keyId, models: models as string[] | null, cap };
  const expiresAtMs = Math.min(nowMs + expiresInS * 1_000, keyEndsMs ?? Number.POSITIVE_INFINITY);
  const token = await signClientToken(config(c.env), claims, { nowMs, expiresAtMs });
  return c.json({
    id,
    object: 'token',
    token,
    expires_at: new Date(Math.floor(expiresAtMs / 1_000) * 1_000).toISOString(),
    cap: formatUsd(cap),
    models: models ?? allowed,
  });
}
