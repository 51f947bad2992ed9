/** POST /v1/tokens: makes a token for a browser or a phone, which expires soon and can spend little. */
import * as z from 'zod';
import { findModel } from '../db/catalogue.ts';
import { formatUsd } from '../domain/money.ts';
import { config } from '../env.ts';
import { catalogue } from '../gateway/model-cache.ts';
import { mintClientToken } from '../http/client-token.ts';
import { readFields } from '../http/fields.ts';
import { readJsonObject } from '../http/read-body.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { UsdText } from '../http/usd-text.ts';
import { respondWithError } from './respond-with-error.ts';

/** The longest lifetime. A token cannot be revoked without its key, so it lasts at most as long as a page stays open. */
const LIFETIME_S_MAX = 3_600;

export const TokenBody = z.object({
  expires_in: z.int().min(1).max(LIFETIME_S_MAX).default(600),
  /** the most that the token may spend in all */
  cap: UsdText.refine((value) => value > 0, 'must be greater than 0'),
  /** absent: the models of the key */
  models: z.array(z.string().max(256)).min(1).max(100).nullish(),
});

export async function mintToken(c: ApiContext): Promise<Response> {
  const read = await readJsonObject(c.req.raw);
  if (!read.ok) return respondWithError(c, read.error);
  const body = readFields(TokenBody, read.body, new Headers());
  if (!body.ok) return respondWithError(c, body.error);
  const { cap, expires_in: expiresInS, models: names } = body.fields;
  const { keyId, models: allowed, expiresAtMs: keyEndsMs } = c.get('principal');
  const nowMs = Date.now();
  const offered = await catalogue(c.env, nowMs);
  const models = names ? names.map((name) => findModel(offered, name)?.id ?? null) : null;
  const wrongIndex =
    models?.findIndex((id) => id === null || (allowed !== null && !allowed.includes(id))) ?? -1;
  if (wrongIndex >= 0) {
    const param = `models[${wrongIndex}]`;
    return respondWithError(c, {
      reason: 'invalid_field',
      param,
      message: `\`${param}\`: not a model that this key can use. List the models with GET /v1/models.`,
    });
  }
  const { id, token, expiresAtMs } = await mintClientToken(config(c.env), {
    key: { id: keyId, expiresAtMs: keyEndsMs },
    models: models as string[] | null,
    cap,
    lifetimeS: expiresInS,
    nowMs,
  });
  return c.json({
    id,
    object: 'token',
    token,
    expires_at: new Date(expiresAtMs).toISOString(),
    cap: formatUsd(cap),
    models: models ?? allowed,
  });
}
