/**
 * The fields with which clients steer reasoning, under the names of every provider. All dialects read all of them, so that
 * each means the same wherever it is sent: `reasoning_effort` (OpenAI), `reasoning` (OpenRouter, and OpenAI's Responses),
 * `thinking` and `output_config` (Anthropic; DeepSeek has `thinking`), `enable_thinking` and `thinking_budget` (Qwen),
 * `chat_template_kwargs` and `thinking_token_budget` (vLLM, SGLang), `include_reasoning` (OpenRouter's older name).
 */
import * as z from 'zod';
import { NANO_PER_USD, type NanoUsd, nanoUsd, parseUsd } from '../../domain/money.ts';
import type { ReasoningRequest, ReasoningSetting } from '../../domain/reasoning.ts';
import type { ApiError } from '../../http/api-error.ts';

/** `none` is not to think at all; `auto` and `default` are what the model does by itself. */
const Effort = z.string().regex(/^[a-z]{1,16}$/, 'must be a word such as "low", "medium" or "high"');
/** As many as an answer may have; 0: no thought. */
const Budget = z.int().min(0).max(65_536);
/** No request costs a million dollars. */
const USD_MAX = 1_000_000;
const USD_FORM = 'must be US dollars as a decimal with at most nine places, such as "0.05"';
/** A number of less than a nano-USD is no 0, which would be a demand not to think at all. */
const Usd = z.union([
  z.string().regex(/^\d{1,6}(\.\d{1,9})?$/, USD_FORM),
  z
    .number()
    .min(0, USD_FORM)
    .max(USD_MAX, USD_FORM)
    .refine((value) => value === 0 || value >= 1 / NANO_PER_USD, USD_FORM),
]);

export const REASONING_FIELDS = {
  reasoning_effort: Effort.nullish().meta({
    description:
      'how much the model thinks: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`, or a level of the model’s own',
  }),
  reasoning: z
    .object({
      effort: Effort.nullish(),
      max_tokens: Budget.nullish().meta({ description: 'the most tokens of each answer’s thought' }),
      max_usd: Usd.nullish().meta({
        description: 'the most that the thoughts of this request may cost, in US dollars',
        example: '0.05',
      }),
      enabled: z.boolean().nullish(),
      exclude: z
        .boolean()
        .nullish()
        .meta({ description: 'leave thoughts out of the answer; they are billed all the same' }),
    })
    .nullish(),
  thinking: z
    .object({
      type: z.enum(['enabled', 'disabled', 'adaptive', 'auto', 'between_tools']).nullish(),
      budget_tokens: Budget.nullish(),
      display: z.enum(['summarized', 'omitted']).nullish(),
    })
    .nullish(),
  output_config: z.object({ effort: Effort.nullish() }).nullish(),
  enable_thinking: z.boolean().nullish(),
  thinking_budget: Budget.nullish(),
  thinking_token_budget: Budget.nullish(),
  include_reasoning: z.boolean().nullish(),
  chat_template_kwargs: z
    .object({
      thinking: z.boolean().nullish(),
      enable_thinking: z.boolean().nullish(),
      reasoning_effort: Effort.nullish(),
      thinking_budget: Budget.nullish(),
    })
    .nullish(),
};
type ReasoningFields = {
  [Name in keyof typeof REASONING_FIELDS]?: z.infer<(typeof REASONING_FIELDS)[Name]>;
};

type Value = string | number | boolean;
/** One field of the body and what it says. */
interface GivenSetting {
  readonly field: string;
  readonly setting: ReasoningSetting;
  readonly value: Value;
}

export type ReadReasoning = { ok: true; reasoning: ReasoningRequest | null } | { ok: false; error: ApiError };

/** Reads all of the fields. Two that contradict each other are refused, since it is not known which of them is meant. */
export function readReasoning(fields: ReasoningFields): ReadReasoning {
  const given = givenSettings(fields);
  if (given.length === 0) return { ok: true, reasoning: null };
  const first = new Map<ReasoningSetting, GivenSetting>();
  for (const each of given) {
    const before = first.get(each.setting);
    if (before === undefined) first.set(each.setting, each);
    else if (before.value !== each.value) return { ok: false, error: contradiction(before, each) };
  }
  const givenValue = <T extends Value>(setting: ReasoningSetting) =>
    (first.get(setting)?.value ?? null) as T | null;
  return {
    ok: true,
    reasoning: {
      enabled: givenValue<boolean>('enabled'),
      adaptive: givenValue<boolean>('adaptive'),
      effort: givenValue<string>('effort'),
      budgetTokens: givenValue<number>('budgetTokens'),
      budgetNanoUsd: givenValue<NanoUsd>('budgetNanoUsd'),
      exclude: givenValue<boolean>('exclude'),
      fields: Object.fromEntries([...first].map(([setting, { field }]) => [setting, field])),
    },
  };
}

function givenSettings(fields: ReasoningFields): GivenSetting[] {
  const { reasoning, thinking, output_config: output, chat_template_kwargs: kwargs } = fields;
  return [
    ...type('thinking.type', thinking?.type),
    ...flag('enabled', 'reasoning.enabled', reasoning?.enabled),
    ...flag('enabled', 'enable_thinking', fields.enable_thinking),
    ...flag('enabled', 'chat_template_kwargs.thinking', kwargs?.thinking),
    ...flag('enabled', 'chat_template_kwargs.enable_thinking', kwargs?.enable_thinking),
    ...effort('reasoning_effort', fields.reasoning_effort),
    ...effort('reasoning.effort', reasoning?.effort),
    ...effort('output_config.effort', output?.effort),
    ...effort('chat_template_kwargs.reasoning_effort', kwargs?.reasoning_effort),
    ...budget('thinking.budget_tokens', thinking?.budget_tokens),
    ...budget('reasoning.max_tokens', reasoning?.max_tokens),
    ...budget('thinking_budget', fields.thinking_budget),
    ...budget('thinking_token_budget', fields.thinking_token_budget),
    ...budget('chat_template_kwargs.thinking_budget', kwargs?.thinking_budget),
    ...dollars('reasoning.max_usd', reasoning?.max_usd),
    ...flag('exclude', 'reasoning.exclude', reasoning?.exclude),
    ...flag('exclude', 'include_reasoning', negated(fields.include_reasoning)),
    ...flag('exclude', 'thinking.display', thinking?.display && thinking.display === 'omitted'),
  ];
}

function flag(setting: ReasoningSetting, field: string, value: boolean | null | undefined): GivenSetting[] {
  return value === null || value === undefined ? [] : [{ field, setting, value }];
}

function negated(value: boolean | null | undefined): boolean | null | undefined {
  return typeof value === 'boolean' ? !value : value;
}

function type(field: string, value: string | null | undefined): GivenSetting[] {
  if (value === null || value === undefined) return [];
  if (value === 'enabled' || value === 'disabled') return flag('enabled', field, value === 'enabled');
  return flag('adaptive', field, true);
}

function effort(field: string, value: string | null | undefined): GivenSetting[] {
  if (!value || value === 'auto' || value === 'default') return [];
  return value === 'none' ? flag('enabled', field, false) : [{ field, setting: 'effort', value }];
}

function budget(field: string, value: number | null | undefined): GivenSetting[] {
  if (value === null || value === undefined) return [];
  return value === 0 ? flag('enabled', field, false) : [{ field, setting: 'budgetTokens', value }];
}

function dollars(field: string, value: string | number | null | undefined): GivenSetting[] {
  if (value === null || value === undefined) return [];
  const amount = typeof value === 'string' ? parseUsd(value) : fromNumber(value);
  return amount === 0 ? flag('enabled', field, false) : [{ field, setting: 'budgetNanoUsd', value: amount }];
}

/** A JSON number in nano-USD, rounded down. Fifteen digits are those that a double keeps of a decimal. */
function fromNumber(value: number): NanoUsd {
  return nanoUsd(Math.floor(Number((value * NANO_PER_USD).toPrecision(15))));
}

function contradiction(before: GivenSetting, { field }: GivenSetting): ApiError {
  const message = `\`${field}\` contradicts \`${before.field}\`. Send one of them.`;
  return { reason: 'invalid_field', param: field, message };
}
