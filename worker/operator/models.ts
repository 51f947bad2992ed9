/** The operator API's models: all of them, a new one, changes of one, and the end of one that was never sold. */
import { Hono } from 'hono';
import * as z from 'zod';
import { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import {
  addModel,
  editModel,
  type FirstPrice,
  type ModelFault,
  removeModel,
} from '../billing/change-models.ts';
import { database } from '../db/client.ts';
import { listModelRows, type ModelRow } from '../db/models.ts';
import {
  ALIASES_MAX,
  CONTEXT_TOKENS_MAX,
  FAULTY_FIELD,
  MODEL_ALIAS,
  MODEL_ID,
  MODEL_PATH,
  MODEL_PATHS_MAX,
  type ModelDefinition,
  OUTPUT_TOKENS_MAX,
} from '../domain/model-definition.ts';
import { parseBody } from '../http/control-body.ts';
import { type ControlError, refuse } from '../http/control-error.ts';
import { NameText } from '../http/fields.ts';
import { iso, OutputUsdPerMillion, UsdPerMillion } from './fields.ts';
import type { OperatorContext, OperatorEnv } from './token.ts';

const Alias = z
  .string()
  .regex(MODEL_ALIAS, 'must be 1 to 128 letters, digits or `. _ - / :`, a letter or digit first');
const Path = z
  .string()
  .regex(MODEL_PATH, 'must be a repository or folder of 1 to 256 letters, digits or `. _ - / : @`');
const OutputTokens = z.int().min(1).max(OUTPUT_TOKENS_MAX);

const Fields = {
  name: NameText(80),
  aliases: z.array(Alias).max(ALIASES_MAX),
  model_paths: z.array(Path).min(1).max(MODEL_PATHS_MAX),
  revision: NameText(100),
  license: NameText(100),
  context_tokens: z.int().min(1).max(CONTEXT_TOKENS_MAX),
  output_tokens_max: OutputTokens,
  output_tokens_default: OutputTokens,
  profile: ModelProfile,
};

const PriceFields = z.strictObject({
  cache_hit: UsdPerMillion,
  cache_miss: UsdPerMillion,
  output: OutputUsdPerMillion,
  source: NameText(200),
});

const NewModelRequest = z.strictObject({
  id: z
    .string()
    .regex(
      MODEL_ID,
      'must be 1 to 64 lower-case letters, digits or `. _ -`, a letter or digit first, and not `new`',
    ),
  ...Fields,
  aliases: Fields.aliases.default([]),
  /** Without prices no customer can use the model, and it can still be deleted. */
  prices: z.strictObject({ standard: PriceFields, batch: PriceFields.optional() }).optional(),
});

const EditRequest = z.strictObject(Fields).partial();

/** The API's names of fields that are written otherwise inside. */
const API_NAMES: Partial<Record<keyof ModelDefinition, string>> = {
  modelPaths: 'model_paths',
  contextTokens: 'context_tokens',
  outputTokensMax: 'output_tokens_max',
  outputTokensDefault: 'output_tokens_default',
};

export const modelsApi = new Hono<OperatorEnv>();

modelsApi.get('/', async (c) => {
  const models = await listModelRows(database(c.env));
  return c.json({ models: models.map(toPublicModel) });
});

modelsApi.get('/:id', async (c) => {
  const model = await findRow(c, c.req.param('id'));
  return model ? c.json(toPublicModel(model)) : refuse(c, 'model_not_found');
});

modelsApi.post('/', async (c) => {
  const body = await parseBody(c, NewModelRequest);
  if (body instanceof Response) return body;
  const { prices = {}, id, ...fields } = body;
  const definition = { id, ...(fromFields(fields) as Omit<ModelDefinition, 'id'>) };
  const fault = await addModel(c.env, { definition, prices: firstPrices(prices) }, commandOf(c));
  return fault === null ? c.json(toPublicModel((await findRow(c, id))!), 201) : refuseModel(c, fault);
});

modelsApi.patch('/:id', async (c) => {
  const body = await parseBody(c, EditRequest);
  if (body instanceof Response) return body;
  const before = await findRow(c, c.req.param('id'));
  if (before === undefined) return refuse(c, 'model_not_found');
  const fault = await editModel(c.env, { ...definitionOf(before), ...fromFields(body) }, commandOf(c));
  return fault === null ? c.json(toPublicModel((await findRow(c, before.id))!)) : refuseModel(c, fault);
});

modelsApi.delete('/:id', async (c) => {
  const fault = await removeModel(c.env, c.req.param('id'), commandOf(c));
  return fault === null ? c.json({ id: c.req.param('id'), deleted: true }) : refuseModel(c, fault);
});

function commandOf(c: OperatorContext) {
  return { actor: c.get('actor'), nowMs: Date.now() };
}

async function findRow(c: OperatorContext, modelId: string): Promise<ModelRow | undefined> {
  return (await listModelRows(database(c.env))).find(({ id }) => id === modelId);
}

/** The fields that are given, by their names inside. */
function fromFields(fields: z.output<typeof EditRequest>): Partial<Omit<ModelDefinition, 'id'>> {
  const { model_paths, context_tokens, output_tokens_max, output_tokens_default, ...same } = fields;
  return {
    ...same,
    ...(model_paths && { modelPaths: model_paths }),
    ...(context_tokens && { contextTokens: context_tokens }),
    ...(output_tokens_max && { outputTokensMax: output_tokens_max }),
    ...(output_tokens_default && { outputTokensDefault: output_tokens_default }),
  };
}

function definitionOf(row: ModelRow): ModelDefinition {
  const { id, name, aliases, modelPaths, revision, license } = row;
  const { contextTokens, outputTokensMax, outputTokensDefault, profile } = row;
  const tokens = { contextTokens, outputTokensMax, outputTokensDefault };
  return { id, name, aliases, modelPaths, revision, license, ...tokens, profile };
}

function firstPrices(prices: NonNullable<z.output<typeof NewModelRequest>['prices']> | object): FirstPrice[] {
  return Object.entries(prices).map(([tariff, price]: [string, z.output<typeof PriceFields>]) => ({
    tariff: tariff as FirstPrice['tariff'],
    cacheHitNanoUsd: price.cache_hit,
    cacheMissNanoUsd: price.cache_miss,
    outputNanoUsd: price.output,
    source: price.source,
  }));
}

/** The field that a refusal is about, where it is about one. */
const PARAMS: Partial<Record<ModelFault, string>> = {
  model_id_taken: 'id',
  model_alias_taken: 'aliases',
  too_many_former_aliases: 'aliases',
  model_weights_fixed: 'profile',
  price_cache_dearer: 'prices',
  price_batch_above_half: 'prices.batch',
};

function refuseModel(c: OperatorContext, fault: ModelFault) {
  const field = fault in FAULTY_FIELD ? FAULTY_FIELD[fault as keyof typeof FAULTY_FIELD] : undefined;
  const param = field ? (API_NAMES[field] ?? field) : PARAMS[fault];
  return refuse(c, fault satisfies ControlError, { param });
}

function toPublicModel(row: ModelRow) {
  return {
    id: row.id,
    name: row.name,
    aliases: row.aliases,
    former_aliases: row.formerAliases,
    model_paths: row.modelPaths,
    revision: row.revision,
    license: row.license,
    reasoning: row.reasoning,
    context_tokens: row.contextTokens,
    output_tokens_max: row.outputTokensMax,
    output_tokens_default: row.outputTokensDefault,
    profile: row.profile,
    /** It has a price: its weights stay, and it cannot be deleted. */
    sold: row.sold,
    ends_at: row.endsAtMs === null ? null : iso(row.endsAtMs),
    successor: row.successorId,
  };
}
