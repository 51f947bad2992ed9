/** /v1/keys: a management key makes, changes, rotates and revokes inference keys. */
import * as z from 'zod';
import { findModel } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import {
  type ApiKeyRow,
  changeKey,
  createKey,
  findKey,
  isFullOfKeys,
  listKeys,
  revokeKey,
  rotateKey as rotate,
} from '../db/keys.ts';
import { isId } from '../domain/ids.ts';
import { defaultTerms, firstTermExceeded, type KeyTerms, managerOfSuccessor } from '../domain/key-terms.ts';
import { CAP_PERIODS } from '../domain/limits.ts';
import { MAXIMA } from '../domain/maxima.ts';
import { formatUsd, nanoUsd } from '../domain/money.ts';
import { config } from '../env.ts';
import { catalogue } from '../gateway/model-cache.ts';
import type { ApiError } from '../http/api-error.ts';
import type { Principal } from '../http/authenticate.ts';
import { NameText, readFields } from '../http/fields.ts';
import { readJsonObject } from '../http/read-body.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { UsdText } from '../http/usd-text.ts';
import { pepperKey } from '../tokens/pepper.ts';
import { PageQuery, pageOf } from './page-query.ts';
import { respondWithError } from './respond-with-error.ts';

/** Upper bounds of a key's limits, the same as in the portal's form. */
const LIMITS = { requests: 100_000, tokens: 100_000_000, concurrency: 10_000 } as const;
/** The longest overlap of a rotation: a week is enough to restart any service with the new key. */
const OVERLAP_S_MAX = 7 * 86_400;

const count = (max: number) => z.int().min(1).max(max);

export const KeyBody = z.object({
  name: NameText(),
  /** null: all models */
  models: z.array(z.string().max(256)).min(1).max(100).nullish(),
  /** null: no cap */
  cap: UsdText.nullish(),
  cap_period: z.enum(CAP_PERIODS).optional(),
  requests_per_minute: count(LIMITS.requests).optional(),
  /** null: no limit */
  tokens_per_minute: count(LIMITS.tokens).nullish(),
  concurrency: count(LIMITS.concurrency).optional(),
  /** null: never */
  expires_at: z.iso.datetime({ offset: true }).nullish(),
});
export const KeyPatch = KeyBody.partial();
export const RotateBody = z.object({ overlap_seconds: z.int().min(0).max(OVERLAP_S_MAX).default(0) });

type KeyChanges = z.infer<typeof KeyPatch>;

export async function createKeyByApi(c: ApiContext): Promise<Response> {
  const body = await bodyOf(c, KeyBody);
  if (!body.ok) return respondWithError(c, body.error);
  const principal = c.get('principal');
  const terms = await termsOf(c, body.fields, defaultTerms(termsOfPrincipal(principal)));
  if (!terms.ok) return respondWithError(c, terms.error);
  const { name } = body.fields;
  const key = await newKey(c, { name, ...terms.terms });
  return key ? created(c, key) : respondWithError(c, await notMade(c, { reason: 'unauthenticated' }));
}

export async function getKeys(c: ApiContext): Promise<Response> {
  const query = readFields(PageQuery, c.req.query(), new Headers());
  if (!query.ok) return respondWithError(c, query.error);
  const { limit, after } = query.fields;
  const all = await listKeys(database(c.env), c.get('principal').accountId);
  const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
  return c.json(pageOf(all.slice(from, from + limit + 1).map(describe), limit));
}

export async function getKeyById(c: ApiContext): Promise<Response> {
  const row = await keyOf(c);
  return row ? c.json(describe(row)) : respondWithError(c, { reason: 'key_not_found' });
}

export async function patchKey(c: ApiContext): Promise<Response> {
  const row = await managedKeyOf(c);
  if ('reason' in row) return respondWithError(c, row);
  const body = await bodyOf(c, KeyPatch);
  if (!body.ok) return respondWithError(c, body.error);
  const terms = await termsOf(c, body.fields, row);
  if (!terms.ok) return respondWithError(c, terms.error);
  const inactive = inactivity(row, Date.now());
  if (inactive) return respondWithError(c, inactive);
  if (row.successorId !== null && isLater(terms.terms.expiresAtMs, row.expiresAtMs))
    return respondWithError(c, { reason: 'key_rotated', successorId: row.successorId });
  const values = changedValues(body.fields, terms.terms);
  if (Object.keys(values).length === 0) return c.json(describe(row));
  const changed = await change(c, row, values, 'key.changed', Object.keys(body.fields));
  return changed ? c.json(describe(changed)) : respondWithError(c, { reason: 'key_not_active' });
}

export async function deleteKey(c: ApiContext): Promise<Response> {
  const row = await managedKeyOf(c);
  if ('reason' in row) return respondWithError(c, row);
  const { accountId, keyId: actor } = c.get('principal');
  await revokeKey(database(c.env), { accountId, keyId: row.id, actor, nowMs: Date.now() });
  return c.json({ id: row.id, object: 'key', deleted: true });
}

export async function rotateKey(c: ApiContext): Promise<Response> {
  const row = await managedKeyOf(c);
  if ('reason' in row) return respondWithError(c, row);
  const body = await bodyOf(c, RotateBody);
  if (!body.ok) return respondWithError(c, body.error);
  const nowMs = Date.now();
  const principal = c.get('principal');
  const error = rotationError(row, principal, nowMs);
  if (error) return respondWithError(c, error);
  const successor = await rotate(database(c.env), await pepperKey(config(c.env)), {
    row,
    overlapMs: body.fields.overlap_seconds * 1_000,
    actor: principal.keyId,
    managerId: lineageOf(principal),
    nowMs,
  });
  // Another call rotated or revoked the key, or revoked the management key, since they were read.
  return successor
    ? created(c, successor)
    : respondWithError(c, await notMade(c, { reason: 'key_not_active' }));
}

/** Why no key was made: the account is full, or else for this reason. */
async function notMade(c: ApiContext, otherwise: ApiError): Promise<ApiError> {
  const which = { accountId: c.get('principal').accountId, nowMs: Date.now() };
  if (!(await isFullOfKeys(database(c.env), which))) return otherwise;
  return { reason: 'too_many_keys', activeMax: MAXIMA.active_keys.count, madeMax: MAXIMA.keys.count };
}

/** Why the management key may not rotate the key; null: it may. */
function rotationError(row: ApiKeyRow, principal: Principal, nowMs: number): ApiError | null {
  const inactive = inactivity(row, nowMs);
  if (inactive) return inactive;
  if (row.successorId !== null) return { reason: 'key_rotated', successorId: row.successorId };
  const exceeded = firstTermExceeded(row, termsOfPrincipal(principal));
  if (exceeded) return tooMuch(exceeded);
  const rotating = { keyId: lineageOf(principal), capNanoUsd: principal.limits.key.capNanoUsd };
  const manager = managerOfSuccessor({ old: row.managerId, rotating });
  return manager === null ? { reason: 'key_of_other_manager' } : null;
}

/** The first key of the rotations that led to the caller's. */
function lineageOf({ keyId, limits }: Principal): string {
  return limits.shared?.lineageId ?? keyId;
}

/** A key that is revoked or has expired stays so: it can be neither changed nor rotated. */
function inactivity({ revokedAtMs, expiresAtMs }: ApiKeyRow, nowMs: number): ApiError | null {
  const isActive = revokedAtMs === null && (expiresAtMs === null || expiresAtMs > nowMs);
  return isActive ? null : { reason: 'key_not_active' };
}

/** Whether an expiry is later than another. @param before null: never */
function isLater(expiresAtMs: number | null, before: number | null): boolean {
  return before !== null && (expiresAtMs === null || expiresAtMs > before);
}

// ---- terms ----

/** The request field of each term. */
const PARAMS: Record<keyof KeyTerms, string> = {
  models: 'models',
  capNanoUsd: 'cap',
  capPeriod: 'cap_period',
  requestsPerMinute: 'requests_per_minute',
  tokensPerMinute: 'tokens_per_minute',
  concurrency: 'concurrency',
  expiresAtMs: 'expires_at',
};

function tooMuch(term: keyof KeyTerms): ApiError {
  const param = PARAMS[term];
  const message = `\`${param}\`: exceeds that of the management key. A key can grant no more than it has.`;
  return { reason: 'invalid_field', param, message };
}

function termsOfPrincipal({ limits, models, expiresAtMs }: Principal): KeyTerms {
  return { ...limits.key, models, expiresAtMs };
}

/** The terms with the changes applied and models by their ids; an error if they exceed the management key's terms. */
async function termsOf(
  c: ApiContext,
  changes: KeyChanges,
  before: KeyTerms,
): Promise<{ ok: true; terms: KeyTerms } | { ok: false; error: ApiError }> {
  const models = changes.models && (await idsOf(c, changes.models));
  if (models && 'reason' in models) return { ok: false, error: models };
  const terms: KeyTerms = {
    models: models === undefined ? before.models : models,
    capNanoUsd: changes.cap === undefined ? before.capNanoUsd : changes.cap,
    capPeriod: changes.cap_period ?? before.capPeriod,
    requestsPerMinute: changes.requests_per_minute ?? before.requestsPerMinute,
    tokensPerMinute:
      changes.tokens_per_minute === undefined ? before.tokensPerMinute : changes.tokens_per_minute,
    concurrency: changes.concurrency ?? before.concurrency,
    expiresAtMs:
      changes.expires_at === undefined
        ? before.expiresAtMs
        : changes.expires_at === null
          ? null
          : Date.parse(changes.expires_at),
  };
  const exceeded = firstTermExceeded(terms, termsOfPrincipal(c.get('principal')));
  return exceeded ? { ok: false, error: tooMuch(exceeded) } : { ok: true, terms };
}

async function idsOf(c: ApiContext, names: readonly string[]): Promise<readonly string[] | ApiError> {
  const models = await catalogue(c.env, Date.now());
  const ids: string[] = [];
  for (const [index, name] of names.entries()) {
    const model = findModel(models, name);
    if (!model) {
      const param = `models[${index}]`;
      const available = models.map(({ id }) => id).join(', ');
      return {
        reason: 'invalid_field',
        param,
        message: `\`${param}\`: model not found. Available: ${available}.`,
      };
    }
    ids.push(model.id);
  }
  return [...new Set(ids)];
}

// ---- keys ----

type NewTerms = KeyTerms & { name: string };

async function newKey(c: ApiContext, terms: NewTerms) {
  const { capNanoUsd, ...rest } = terms;
  const principal = c.get('principal');
  const request = {
    ...rest,
    accountId: principal.accountId,
    capNanoUsd: capNanoUsd === null ? null : nanoUsd(capNanoUsd),
    managerId: lineageOf(principal),
    nowMs: Date.now(),
  };
  return createKey(database(c.env), await pepperKey(config(c.env)), request, principal.keyId);
}

/** The columns of the fields that were sent: a change leaves all others as they are by then. */
function changedValues(fields: KeyChanges, terms: KeyTerms): Partial<NewTerms> {
  const { name } = fields;
  const sent = (Object.keys(PARAMS) as (keyof KeyTerms)[]).filter((term) => PARAMS[term] in fields);
  const changed = Object.fromEntries(sent.map((term) => [term, terms[term]])) as Partial<KeyTerms>;
  return { ...changed, ...(name !== undefined && { name }) };
}

/** Changes a key and writes an audit entry. @param fields names of the request's fields, for the entry */
function change(
  c: ApiContext,
  { id: keyId, accountId }: ApiKeyRow,
  values: Partial<NewTerms>,
  action: string,
  fields: readonly string[],
): Promise<ApiKeyRow | null> {
  const actor = c.get('principal').keyId;
  const detail = { what: fields.join(' ') };
  const entry = { atMs: Date.now(), actor, action, subject: keyId, detail, accountId };
  const { models, ...rest } = values;
  const row = models === undefined ? rest : { ...rest, models: models && [...models] };
  return changeKey(database(c.env), { accountId, keyId, values: row, entry });
}

async function keyOf(c: ApiContext): Promise<ApiKeyRow | null> {
  const keyId = c.req.param('id') ?? '';
  const { accountId } = c.get('principal');
  return isId('key', keyId) ? findKey(database(c.env), { accountId, keyId }) : null;
}

/** The inference key that the path names. Management keys are excluded: one that leaked could lock its owner out. */
async function managedKeyOf(c: ApiContext): Promise<ApiKeyRow | ApiError> {
  const row = await keyOf(c);
  if (row === null) return { reason: 'key_not_found' };
  return row.scope === 'management' ? { reason: 'key_not_managed' } : row;
}

async function bodyOf<Fields>(c: ApiContext, schema: z.ZodType<Fields>) {
  const read = await readJsonObject(c.req.raw);
  return read.ok ? readFields(schema, read.body, new Headers()) : read;
}

/** The response to a new key: the only one that contains the key itself. */
function created(c: ApiContext, { key, row }: { key: string; row: ApiKeyRow }): Response {
  return c.json({ ...describe(row), key }, 201);
}

function describe(row: ApiKeyRow) {
  const at = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  return {
    id: row.id,
    object: 'key' as const,
    name: row.name,
    scope: row.scope,
    prefix: 'sk-tg-',
    last_four: row.lastFour,
    models: row.models,
    cap: row.capNanoUsd === null ? null : formatUsd(nanoUsd(row.capNanoUsd)),
    cap_period: row.capPeriod,
    limits: {
      requests_per_minute: row.requestsPerMinute,
      tokens_per_minute: row.tokensPerMinute,
      concurrency: row.concurrency,
    },
    created_at: at(row.createdAtMs),
    expires_at: at(row.expiresAtMs),
    revoked_at: at(row.revokedAtMs),
    last_used_at: at(row.lastUsedAtMs),
    created_by: row.createdBy,
    kept_by: row.keptBy,
    shares_cap_of: row.managerId,
    first_key: row.lineageId,
    rotated_to: row.successorId,
  };
}
