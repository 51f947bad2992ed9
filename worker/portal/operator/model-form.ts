/** The form of a model: its fields' schemas, what is typed in it at first, and what was typed as a definition. */
import * as z from 'zod';
import fr from 'zod/v4/locales/fr.js';
import type { ModelProfile } from '../../../gpu-pool/protocol/model-profile.ts';
import type { FirstPrice, ModelFault } from '../../billing/change-models.ts';
import type { ModelRow } from '../../db/models.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
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
  type ProfileFault,
  parseProfile,
} from '../../domain/model-definition.ts';
import type { Fault } from '../../i18n/en/index.ts';
import type { PortalContext } from '../frame/context.ts';
import { type Faults, fault, Line, type Typed, Whole } from '../frame/form.ts';
import { UsdPerMillion } from './form.ts';
import { SHIPPED_MODELS } from './shipped-models.ts';

/** One text a line. */
function Lines(each: RegExp, bounds: { min: number; max: number }, message: Fault) {
  return z
    .string(fault(message))
    .transform((text) => text.split(/\s*\n\s*/).filter((line) => line !== ''))
    .refine((lines) => bounds.min <= lines.length && lines.length <= bounds.max, fault(message))
    .refine((lines) => lines.every((line) => each.test(line)), fault(message));
}

const Fields = (marks: NumberMarks) => ({
  name: Line(80),
  aliases: Lines(MODEL_ALIAS, { min: 0, max: ALIASES_MAX }, 'model_aliases'),
  modelPaths: Lines(MODEL_PATH, { min: 1, max: MODEL_PATHS_MAX }, 'model_paths'),
  revision: Line(100),
  license: Line(100),
  contextTokens: Whole(marks, { min: 1, max: CONTEXT_TOKENS_MAX }),
  outputTokensMax: Whole(marks, { min: 1, max: OUTPUT_TOKENS_MAX }),
  outputTokensDefault: Whole(marks, { min: 1, max: OUTPUT_TOKENS_MAX }),
  profile: z
    .string(fault('profile'))
    .transform((text) => parseProfile(text))
    .refine((parsed) => parsed.ok, fault('profile'))
    .transform((parsed) => (parsed as { profile: ModelProfile }).profile),
});

export const EditForm = (marks: NumberMarks) =>
  z.object({
    ...Fields(marks),
    /** The version of the model that the form showed. */
    seen: z.string().nullable().default(null),
  });

const PRICES = {
  standard: ['standardHit', 'standardMiss', 'standardOutput'],
  batch: ['batchHit', 'batchMiss', 'batchOutput'],
} as const;
export const PRICE_FIELDS = [...PRICES.standard, ...PRICES.batch];

const NO_PRICE = z.literal('').transform(() => null);

export const NewForm = (marks: NumberMarks) => {
  const price = z.union([NO_PRICE, UsdPerMillion(marks)], fault('usd_per_million'));
  const output = price.refine((nano) => nano !== 0, fault('usd_per_million'));
  return z
    .object({
      id: z.string(fault('model_id')).regex(MODEL_ID, fault('model_id')),
      ...Fields(marks),
      standardHit: price,
      standardMiss: price,
      standardOutput: output,
      batchHit: price,
      batchMiss: price,
      batchOutput: output,
      source: z.union([NO_PRICE, Line(200)], fault('required')),
    })
    .superRefine((values, context) => {
      const names = Object.values(PRICES).map((fields) => [...fields]);
      for (const fields of names) {
        const isAsked = fields.some((field) => values[field] !== null);
        for (const field of fields)
          if (isAsked && values[field] === null)
            context.addIssue({ code: 'custom', path: [field], message: 'usd_per_million' });
      }
      const hasPrices = PRICE_FIELDS.some((field) => values[field] !== null);
      if (hasPrices && values.standardHit === null)
        context.addIssue({ code: 'custom', path: ['standardHit'], message: 'usd_per_million' });
      if (hasPrices && values.source === null)
        context.addIssue({ code: 'custom', path: ['source'], message: 'required' });
    });
};

/** The prices that were typed for a new model. */
export function firstPrices(values: z.output<ReturnType<typeof NewForm>>): FirstPrice[] {
  return (['standard', 'batch'] as const).flatMap((tariff) => {
    const [hit, miss, output] = PRICES[tariff].map((field) => values[field]);
    if (hit == null || miss == null || output == null) return [];
    const tokens = { cacheHitNanoUsd: hit, cacheMissNanoUsd: miss, outputNanoUsd: output };
    return [{ tariff, ...tokens, source: values.source ?? '' }];
  });
}

/** A new model as the form shows it first: from a shipped profile, or empty. */
export function typedFrom(shippedId: string, count: (value: number) => string): Typed {
  const profile = Object.hasOwn(SHIPPED_MODELS, shippedId) ? SHIPPED_MODELS[shippedId] : undefined;
  if (profile === undefined) return {};
  const { repository, contextLength } = profile;
  const name = repository.slice(repository.indexOf('/') + 1);
  return {
    id: shippedId,
    name,
    aliases: repository,
    modelPaths: repository,
    revision: name,
    // The weights' own context has to hold the longest prompt and an answer of the default length.
    contextTokens: contextLength === undefined ? '' : count(contextLength - 32_768),
    outputTokensMax: count(OUTPUT_TOKENS_MAX),
    outputTokensDefault: count(32_768),
    profile: JSON.stringify(profile, null, 2),
  };
}

/** A model's fields as the form shows them. */
export function typedOf(row: ModelRow, count: (value: number) => string): Typed {
  return {
    name: row.name,
    aliases: row.aliases.join('\n'),
    modelPaths: row.modelPaths.join('\n'),
    revision: row.revision,
    license: row.license,
    contextTokens: count(row.contextTokens),
    outputTokensMax: count(row.outputTokensMax),
    outputTokensDefault: count(row.outputTokensDefault),
    profile: JSON.stringify(row.profile, null, 2),
  };
}

/** The field that each refusal marks. */
export function faultsOf(refusal: ModelFault): Faults {
  if (refusal in FAULTY_FIELD) return { [FAULTY_FIELD[refusal as keyof typeof FAULTY_FIELD]]: refusal };
  const FIELDS: Partial<Record<ModelFault, keyof ModelDefinition | (typeof PRICE_FIELDS)[number]>> = {
    model_id_taken: 'id',
    model_alias_taken: 'aliases',
    too_many_former_aliases: 'aliases',
    model_weights_fixed: 'profile',
    price_cache_dearer: 'standardHit',
    price_batch_above_half: 'batchOutput',
  };
  return { [FIELDS[refusal] ?? 'id']: refusal as Fault };
}

/** The wrong fields of a profile that was typed, each with a message in the page's language. */
export function profileFaults(c: PortalContext, typed: Typed): readonly ProfileFault[] {
  const messages = c.get('locale') === 'fr' ? { error: fr().localeError } : undefined;
  const parsed = parseProfile(typed.profile ?? '', messages);
  return parsed.ok ? [] : parsed.faults;
}
