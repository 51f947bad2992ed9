/**
 * An operator's models: added, edited, and deleted before they are sold. A model is sold from its first price on; until
 * then its nodes can enrol and its canary can ask, but no customer sees it.
 */
import { database } from '../db/client.ts';
import { deleteModel, insertModel, listModelRows, type ModelRow, updateModel } from '../db/models.ts';
import type { NewPrice } from '../db/prices.ts';
import { halfPriceConflicts, isCacheDearer } from '../domain/half-price.ts';
import {
  type DefinitionFault,
  definitionFault,
  FORMER_ALIASES_MAX,
  formerAliases,
  MODELS_MAX,
  type ModelDefinition,
  namesOf,
  sameWeights,
  versionOf,
} from '../domain/model-definition.ts';
import { PRICE_NOTICE_MS } from '../domain/price-change.ts';
import type { Env } from '../env.ts';
import { addPrice } from './change-prices.ts';

export type ModelFault =
  | DefinitionFault
  | 'model_not_found'
  | 'too_many_models'
  /** The id is another model's id or alias, or was its alias. */
  | 'model_id_taken'
  /** One of the aliases is another model’s id or alias, or was its alias. */
  | 'model_alias_taken'
  | 'too_many_former_aliases'
  | 'model_weights_fixed'
  | 'model_in_use'
  /** Another operator changed it at the same time. */
  | 'model_changed'
  | 'price_cache_dearer'
  | 'price_batch_above_half';

interface ModelCommand {
  readonly actor: string;
  readonly nowMs: number;
}

/** A price that a model is added with; it begins as soon as every edge can know it. */
export type FirstPrice = Pick<
  NewPrice,
  'tariff' | 'cacheHitNanoUsd' | 'cacheMissNanoUsd' | 'outputNanoUsd' | 'source'
>;

/**
 * Adds a model, and its first prices.
 * @returns why it was refused; null: it is added. Where only a price was refused the model is there, with the prices before it
 */
export async function addModel(
  env: Env,
  { definition, prices }: { definition: ModelDefinition; prices: readonly FirstPrice[] },
  { actor, nowMs }: ModelCommand,
): Promise<ModelFault | null> {
  const db = database(env);
  const fault = definitionFault(definition);
  if (fault !== null) return fault;
  const models = await listModelRows(db);
  if (models.some(({ id }) => id === definition.id)) return 'model_id_taken';
  const taken = takenName(definition, models);
  if (taken !== null) return taken;
  if (models.length >= MODELS_MAX) return 'too_many_models';
  const wrongPrice = firstPriceFault(prices, nowMs);
  if (wrongPrice !== null) return wrongPrice;
  const { repository, commit } = definition.profile;
  const detail = { name: definition.name, repository, commit, revision: definition.revision };
  const entry = { atMs: nowMs, actor, action: 'model.added', subject: definition.id, detail };
  if (!(await insertModel(db, definition, entry))) return 'model_changed';
  for (const price of prices) {
    const row = { ...inForceSoon(price, nowMs), modelId: definition.id };
    const added = await addPrice(env, row, { actor, nowMs, confirm: '', preview: false });
    // A new model has no price that another could clash with, but one that somebody else has added meanwhile.
    if (!added.ok) return 'model_changed';
  }
  return null;
}

function inForceSoon(price: FirstPrice, nowMs: number) {
  return { ...price, fromMs: nowMs + PRICE_NOTICE_MS, dailyFromMinute: null, dailyToMinute: null };
}

/** The fault of the prices among themselves, found before the model is added, which would be there without them; null: none. */
function firstPriceFault(prices: readonly FirstPrice[], nowMs: number): ModelFault | null {
  if (prices.some(isCacheDearer)) return 'price_cache_dearer';
  const rows = prices.map((price) => ({ ...inForceSoon(price, nowMs), id: price.tariff, toMs: null }));
  return halfPriceConflicts(rows, nowMs).length > 0 ? 'price_batch_above_half' : null;
}

/**
 * Writes all fields of a model.
 * @param seen the `versionOf` the definition that the operator changed, if it was shown before; others' later changes stay
 * @returns why it was refused; null: it is written
 */
export async function editModel(
  env: Env,
  definition: ModelDefinition,
  { actor, nowMs, seen = null }: ModelCommand & { readonly seen?: string | null },
): Promise<ModelFault | null> {
  const db = database(env);
  const models = await listModelRows(db);
  const before = models.find(({ id }) => id === definition.id);
  if (before === undefined) return 'model_not_found';
  if (seen !== null && seen !== versionOf(before)) return 'model_changed';
  const fault = definitionFault(definition) ?? takenName(definition, models);
  if (fault !== null) return fault;
  const hasProfile = 'repository' in before.profile;
  if (before.sold && hasProfile && !sameWeights(before, definition)) return 'model_weights_fixed';
  const former = before.sold ? formerAliases(before, definition) : before.formerAliases;
  if (former.length > FORMER_ALIASES_MAX) return 'too_many_former_aliases';
  const detail = changesOf(before, definition);
  if (Object.keys(detail).length === 0) return null;
  const entry = { atMs: nowMs, actor, action: 'model.edited', subject: definition.id, detail };
  const isWritten = await updateModel(db, { before, after: definition, former }, entry);
  if (!isWritten) return 'model_changed';
  // Where the call fails, the nodes' next regular heartbeats tell them.
  await env.POOL.getByName(definition.id)
    .callNodes()
    .catch(() => undefined);
  return null;
}

/** Deletes a model that was never sold and has no node. @returns why it was refused; null: it is gone */
export async function removeModel(
  env: Env,
  modelId: string,
  { actor, nowMs }: ModelCommand,
): Promise<ModelFault | null> {
  const db = database(env);
  const entry = { atMs: nowMs, actor, action: 'model.deleted', subject: modelId, detail: {} };
  if (await deleteModel(db, modelId, entry)) return null;
  const isKnown = (await listModelRows(db)).some(({ id }) => id === modelId);
  return isKnown ? 'model_in_use' : 'model_not_found';
}

function takenName(definition: ModelDefinition, models: readonly ModelRow[]): ModelFault | null {
  const others = models.filter(({ id }) => id !== definition.id);
  const taken = new Set(
    others.flatMap((each) => [...namesOf(each), ...each.formerAliases.map((alias) => alias.toLowerCase())]),
  );
  if (taken.has(definition.id)) return 'model_id_taken';
  return namesOf(definition).some((name) => taken.has(name)) ? 'model_alias_taken' : null;
}

/** Characters of a value in the audit trail, which is a table. */
const DETAIL_CHARS_MAX = 200;

/** The fields that change, each with its new value; of a profile only the names of its fields. */
function changesOf(before: ModelRow, after: ModelDefinition): Record<string, string> {
  const { profile, ...rest } = after;
  const changes: Record<string, string> = {};
  for (const [field, value] of Object.entries(rest)) {
    const text = textOf(value);
    if (textOf(before[field as keyof typeof rest]) !== text) changes[field] = text.slice(0, DETAIL_CHARS_MAX);
  }
  const names = Object.keys({ ...before.profile, ...profile }) as (keyof typeof profile)[];
  const changed = names.filter(
    (name) => JSON.stringify(before.profile[name]) !== JSON.stringify(profile[name]),
  );
  return changed.length === 0 ? changes : { ...changes, profile: changed.join(', ') };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
