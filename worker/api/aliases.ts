/** /v1/aliases: the account's own names for models. Any key reads them; a management key sets and removes them. */
import * as z from 'zod';
import { database } from '../db/client.ts';
import { ALIASES_MAX, listAliases, type ModelAliasRow, putAlias, removeAlias } from '../db/model-aliases.ts';
import { ALIAS_EFFORTS } from '../domain/model-alias.ts';
import { onSale } from '../domain/model-end.ts';
import { isVisible } from '../domain/name.ts';
import { type AliasFault, checkAlias } from '../gateway/check-alias.ts';
import { catalogue } from '../gateway/model-cache.ts';
import type { ApiError } from '../http/api-error.ts';
import { readFields } from '../http/fields.ts';
import { readJsonObject } from '../http/read-body.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { respondWithError } from './respond-with-error.ts';

export const AliasBody = z.object({
  model: z
    .string()
    .min(1)
    .max(256)
    .meta({ description: 'id of a model that is for sale, or one of its own aliases' }),
  effort: z
    .string()
    .regex(/^[a-z]{1,16}$/, `must be one of ${ALIAS_EFFORTS.join(', ')}, or a level of the model’s own`)
    .nullish()
    .meta({
      description:
        'how much the model thinks where a request says nothing of it: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`, or a level of the model’s own; null: as the model does by itself',
    }),
});

export async function getAliases(c: ApiContext): Promise<Response> {
  const rows = await listAliases(database(c.env), c.get('principal').accountId);
  return c.json({ object: 'list' as const, data: rows.map(describe) });
}

export async function setAlias(c: ApiContext): Promise<Response> {
  const body = await readJsonObject(c.req.raw);
  if (!body.ok) return respondWithError(c, body.error);
  const read = readFields(AliasBody, body.body, new Headers());
  if (!read.ok) return respondWithError(c, read.error);
  const nowMs = Date.now();
  const models = await catalogue(c.env, nowMs);
  const { model: wantedModel, effort = null } = read.fields;
  const wanted = { name: c.req.param('id') ?? '', model: wantedModel, effort };
  const checked = checkAlias(models, wanted, nowMs);
  if (!checked.ok) {
    const available = onSale(models, nowMs).map(({ id }) => id);
    return respondWithError(c, faultError(checked.fault, available));
  }
  const { name, model } = checked;
  const { accountId, keyId: actor } = c.get('principal');
  const row = await putAlias(database(c.env), { accountId, name, modelId: model.id, effort, actor, nowMs });
  return row
    ? c.json(describe(row))
    : respondWithError(c, { reason: 'too_many_aliases', limit: ALIASES_MAX });
}

export async function deleteAlias(c: ApiContext): Promise<Response> {
  const name = (c.req.param('id') ?? '').toLowerCase();
  if (!isVisible(name)) return respondWithError(c, faultError('name', []));
  const { accountId, keyId: actor } = c.get('principal');
  const removed = await removeAlias(database(c.env), { accountId, name, actor, nowMs: Date.now() });
  return removed
    ? c.json({ id: name, object: 'alias', deleted: true })
    : respondWithError(c, { reason: 'alias_not_found' });
}

function faultError(fault: AliasFault, available: readonly string[]): ApiError {
  const [param, rule] = {
    name: [
      'id',
      'must be 1 to 64 letters without accents, digits, and . _ : / -, and begin with a letter or digit',
    ],
    taken: ['id', 'is the name of a model here, which an alias cannot stand before. Choose another'],
    model: ['model', `model not found. Available: ${available.join(', ')}`],
    effort: ['effort', 'the model cannot do that. Leave it out, or choose another'],
  }[fault] as [string, string];
  return { reason: 'invalid_field', param, message: `\`${param}\`: ${rule}.` };
}

function describe({ name, modelId, effort, createdAtMs, createdBy }: ModelAliasRow) {
  return {
    id: name,
    object: 'alias' as const,
    model: modelId,
    effort,
    created_at: new Date(createdAtMs).toISOString(),
    created_by: createdBy,
  };
}
