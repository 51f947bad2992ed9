/**
 * How a client steers a model's reasoning. Every dialect's fields are read into one `ReasoningRequest`, and `steer` decides
 * by the model's profile what becomes of it: variables of the chat template, a budget of tokens, a name among the ignored
 * fields, or a refusal. A demand that a model cannot meet (think, do not think, at most so much) is refused; a hint that it
 * has no use for (an effort, `adaptive`) is ignored and named, because clients send hints to any model unasked.
 */
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import type { NanoUsd } from './money.ts';

/** The settings of reasoning in a request; null: it has none. */
export interface ReasoningRequest {
  readonly enabled: boolean | null;
  /** The model decides by itself how much it thinks. */
  readonly adaptive: boolean | null;
  /** One of `EFFORTS`, or a level that only the model itself knows. */
  readonly effort: string | null;
  /** Tokens of each choice's thought; never 0, which is `enabled: false`. */
  readonly budgetTokens: number | null;
  /** For the thoughts of all choices together; never 0. */
  readonly budgetNanoUsd: NanoUsd | null;
  /** Thoughts are generated and billed, and not sent. */
  readonly exclude: boolean | null;
  /** The field of the body that said it, for each of the above that is not null. */
  readonly fields: Readonly<Partial<Record<ReasoningSetting, string>>>;
}

export type ReasoningSetting =
  | 'enabled'
  | 'adaptive'
  | 'effort'
  | 'budgetTokens'
  | 'budgetNanoUsd'
  | 'exclude';

/**
 * Efforts, weakest first, with the share of `max_tokens` that a thought may take where a model knows no levels of its own.
 * The shares are those that OpenRouter publishes; `max` leaves a thought unbounded.
 */
const EFFORTS: Readonly<Record<string, number>> = {
  minimal: 0.1,
  low: 0.2,
  medium: 0.5,
  high: 0.8,
  xhigh: 0.95,
  max: 1,
};
const RANKS = Object.keys(EFFORTS);
/** Other words for an effort, by the providers that use them. */
const SYNONYMS: Readonly<Record<string, string>> = { ultra: 'max' };

export interface ReasoningModel {
  readonly id: string;
  readonly thinking: ModelProfile['thinking'];
  /** The request has no chat template, so that nothing of it can be steered. */
  readonly isTextCompletion: boolean;
  /** Tokens of one answer, thought included, as the client or the model's default has them. */
  readonly askedTokens: number;
  /** The same as the model allows them. */
  readonly maxTokens: number;
  readonly choices: number;
  readonly outputNanoUsd: number;
}

export type Steering =
  | {
      readonly ok: true;
      readonly templateVariables: Readonly<Record<string, boolean | string>> | undefined;
      /** Tokens of each choice's thought; undefined: no budget. */
      readonly thinkingBudget: number | undefined;
      /** The budget only stands for an effort. */
      readonly isHint: boolean;
      /** Fields of the body that have no effect at this model. */
      readonly ignored: readonly string[];
    }
  | { readonly ok: false; readonly param: string; readonly message: string };

/** A request that says nothing of reasoning. */
export const NO_SETTINGS: ReasoningRequest = {
  enabled: null,
  adaptive: null,
  effort: null,
  budgetTokens: null,
  budgetNanoUsd: null,
  exclude: null,
  fields: {},
};

export function steer(request: ReasoningRequest | null, model: ReasoningModel): Steering {
  const asked = request ?? NO_SETTINGS;
  const { mode } = model.thinking;
  const unknown = unknownEffort(asked, model);
  if (unknown) return unknown;
  if (model.isTextCompletion || mode === 'never') return withoutThought(asked, model);
  if (asked.enabled === false)
    return mode === 'always' ? refused(asked, 'enabled', cannotStop(model)) : switchedOff(asked, model);
  const level = asked.effort === null ? null : levelOf(asked.effort, model);
  const budget = budgetOf(asked, level, model);
  if (!budget.ok) return budget;
  const isEffortUsed = level !== null || budget.byEffort;
  return {
    ok: true,
    templateVariables: variables({ asked, level, budget: budget.tokens }, model),
    thinkingBudget: budget.tokens,
    isHint: budget.byEffort,
    ignored:
      isEffortUsed || asked.effort === null || isUnbounded(asked.effort) ? [] : named(asked, ['effort']),
  };
}

/** `max` asks for what happens without any effort, where a model has no levels. */
function isUnbounded(effort: string): boolean {
  return EFFORTS[canonical(effort)] === 1;
}

function withoutThought(asked: ReasoningRequest, model: ReasoningModel): Steering {
  const demanded = (['enabled', 'budgetTokens', 'budgetNanoUsd'] as const).find((setting) => asked[setting]);
  if (demanded !== undefined && asked.enabled !== false) return refused(asked, demanded, cannotThink(model));
  return {
    ok: true,
    templateVariables: undefined,
    thinkingBudget: undefined,
    isHint: false,
    ignored: named(asked, ['adaptive', 'effort']),
  };
}

/** Without a thought, a budget is kept and an effort says nothing. */
function switchedOff(asked: ReasoningRequest, { thinking }: ReasoningModel): Steering {
  return {
    ok: true,
    templateVariables: { [thinking.variable!]: false },
    thinkingBudget: undefined,
    isHint: false,
    ignored: named(asked, ['adaptive', 'effort']),
  };
}

/** Every setting but `exclude` asks a model that can be switched to think. */
function variables(
  { asked, level, budget }: { asked: ReasoningRequest; level: string | null; budget: number | undefined },
  { thinking }: ReasoningModel,
): Record<string, boolean | string> | undefined {
  const { mode, variable, byDefault, effort } = thinking;
  const asksToThink =
    asked.enabled ||
    asked.adaptive ||
    asked.effort !== null ||
    budget !== undefined ||
    asked.budgetNanoUsd !== null;
  const set: Record<string, boolean | string> = {};
  if (mode === 'switchable') set[variable!] = Boolean(asksToThink || byDefault);
  if (effort && level !== null) set[effort.variable] = level;
  return Object.keys(set).length === 0 ? undefined : set;
}

type Budget = { ok: true; tokens: number | undefined; byEffort: boolean } | Extract<Steering, { ok: false }>;

/** A budget in tokens or dollars goes before the share of an effort; of both, the smaller one holds. */
function budgetOf(asked: ReasoningRequest, level: string | null, model: ReasoningModel): Budget {
  const { askedTokens, maxTokens } = model;
  const { budgetTokens, effort } = asked;
  if (budgetTokens !== null && budgetTokens >= askedTokens)
    return refused(
      asked,
      'budgetTokens',
      `must be less than the ${askedTokens} tokens of the whole answer, or nothing is left after the thought. Lower it, or raise the limit of the answer`,
    );
  const bought = asked.budgetNanoUsd === null ? null : tokensFor(asked.budgetNanoUsd, model);
  if (bought === 0) return refused(asked, 'budgetNanoUsd', tooCheap(model));
  const demanded = [budgetTokens, bought].filter((tokens) => tokens !== null);
  if (demanded.length > 0)
    return { ok: true, tokens: binding(Math.min(...demanded), model), byEffort: false };
  const share = effort === null || level !== null ? undefined : EFFORTS[canonical(effort)];
  if (share === undefined || share === 1) return { ok: true, tokens: undefined, byEffort: false };
  return { ok: true, tokens: Math.max(1, Math.floor(maxTokens * share)), byEffort: true };
}

/** A budget as large as the whole answer is kept by the answer's own limit. */
function binding(tokens: number, { maxTokens }: ReasoningModel): number | undefined {
  return tokens < maxTokens ? tokens : undefined;
}

/** The tokens of each choice that an amount pays for, rounded down. */
function tokensFor(amount: NanoUsd, { outputNanoUsd, choices, maxTokens }: ReasoningModel): number {
  return outputNanoUsd === 0 ? maxTokens : Math.floor(amount / (outputNanoUsd * choices));
}

/**
 * The model's own level for an effort: the same word, else the weakest that is at least as strong. `max` is never chosen for
 * a weaker word, because it costs far more than the levels below it. DeepSeek maps its efforts in the same way.
 * @returns null: the model has no levels
 */
function levelOf(effort: string, { thinking }: ReasoningModel): string | null {
  const levels = thinking.effort?.levels;
  if (!levels) return null;
  const word = canonical(effort);
  if (levels.includes(effort)) return effort;
  if (levels.includes(word)) return word;
  const rank = RANKS.indexOf(word);
  const ranked = RANKS.filter((each) => levels.includes(each) && each !== 'max');
  return ranked.find((each) => RANKS.indexOf(each) >= rank) ?? ranked.at(-1) ?? thinking.effort!.byDefault;
}

function canonical(effort: string): string {
  return SYNONYMS[effort] ?? effort;
}

function unknownEffort(asked: ReasoningRequest, { thinking }: ReasoningModel): Steering | null {
  const { effort } = asked;
  const levels = thinking.effort?.levels ?? [];
  if (effort === null || Object.hasOwn(EFFORTS, canonical(effort)) || levels.includes(effort)) return null;
  const words = ['none', ...RANKS, ...levels.filter((level) => !RANKS.includes(level))];
  return refused(asked, 'effort', `must be one of ${words.map((word) => `"${word}"`).join(', ')}`);
}

function named({ fields }: ReasoningRequest, settings: readonly ReasoningSetting[]): string[] {
  return settings.flatMap((setting) => fields[setting] ?? []);
}

function refused(
  { fields }: ReasoningRequest,
  setting: ReasoningSetting,
  message: string,
): Extract<Steering, { ok: false }> {
  const param = fields[setting] ?? 'reasoning';
  return { ok: false, param, message: `\`${param}\` ${message}.` };
}

function cannotStop({ id }: ReasoningModel): string {
  return `cannot be met: ${id} always thinks. Limit its thought with \`reasoning.max_tokens\`, or use a model that can answer without one; \`GET /v1/models\` tells them apart`;
}

function cannotThink({ id, isTextCompletion }: ReasoningModel): string {
  return isTextCompletion
    ? 'cannot be met: a text completion has no thought to steer. Leave it out, or use chat completions'
    : `cannot be met: ${id} does not think. Leave it out, or use a model that does; \`GET /v1/models\` tells them apart`;
}

function tooCheap({ outputNanoUsd, choices }: ReasoningModel): string {
  return `is less than one token of each thought costs, which is ${outputNanoUsd * choices} nano-USD. Raise it`;
}
