/**
 * The dialect of OpenAI's original completions API: the model continues a text. No chat template is applied to the prompt.
 */
import * as z from 'zod';
import { unreadFields } from '../../domain/unread-fields.ts';
import { readFields } from '../../http/fields.ts';
import { ALIKE } from './alike.ts';
import type { Dialect } from './dialect.ts';
import {
  CHOICES_MAX,
  ModelName,
  Penalty,
  SAMPLERS,
  Stops,
  samplers,
  Temperature,
  TokenLimit,
  TopP,
} from './fields.ts';
import { readableDialect } from './readable-dialect.ts';
import { REASONING_FIELDS, readReasoning } from './reasoning-fields.ts';

const ONE_TEXT =
  'must be a string or an array of one string: token ids and multiple prompts are not supported';

export const CompletionsBody = z.object({
  model: ModelName,
  prompt: z
    .union([z.string().min(1), z.tuple([z.string().min(1)])], { error: ONE_TEXT })
    .transform((prompt) => (typeof prompt === 'string' ? prompt : prompt[0])),
  suffix: z
    .literal('', {
      error: 'must be absent: no model here was trained for fill-in-the-middle',
    })
    .nullish(),
  max_tokens: TokenLimit.nullish(),
  temperature: Temperature.nullish(),
  top_p: TopP.nullish(),
  presence_penalty: Penalty.nullish(),
  frequency_penalty: Penalty.nullish(),
  ...SAMPLERS,
  n: z.int().min(1).max(CHOICES_MAX).nullish(),
  best_of: z.int().min(1).max(CHOICES_MAX).nullish(),
  stop: Stops.nullish(),
  seed: z.int().nullish(),
  echo: z.boolean().nullish(),
  logprobs: z.int().min(0).max(5).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  ...REASONING_FIELDS,
});

const ignoredOf = unreadFields({ schema: CompletionsBody, alike: ALIKE });

const dialect: Dialect = {
  read(body, headers) {
    const parsed = readFields(CompletionsBody, body, headers);
    if (!parsed.ok) return parsed;
    const { fields, session } = parsed;
    const steered = readReasoning(fields);
    if (!steered.ok) return steered;
    const choices = fields.n ?? 1;
    const generate = {
      prompt: fields.prompt,
      temperature: fields.temperature ?? undefined,
      top_p: fields.top_p ?? undefined,
      presence_penalty: fields.presence_penalty ?? undefined,
      frequency_penalty: fields.frequency_penalty ?? undefined,
      ...samplers(fields),
      n: fields.n ?? undefined,
      stop: fields.stop ?? undefined,
      seed: fields.seed ?? undefined,
      logprobs: typeof fields.logprobs === 'number' || undefined,
      top_logprobs: fields.logprobs ?? undefined,
    };
    if ((fields.best_of ?? choices) !== choices) {
      const message = '`best_of` must be absent or equal to `n`: every generated choice is returned.';
      return { ok: false, error: { reason: 'invalid_field', param: 'best_of', message } };
    }
    const form = {
      dialect: 'completions' as const,
      ...(fields.echo && { prefix: fields.prompt }),
      ...(fields.stream_options?.include_usage && { include_usage: true as const }),
    };
    return {
      ok: true,
      dialectRequest: {
        request: {
          model: fields.model,
          stream: fields.stream ?? false,
          maxTokens: fields.max_tokens ?? null,
          choices,
          sessionKey: session,
          promptField: 'prompt',
          thoughtField: '',
          reasoning: steered.reasoning,
          ignored: ignoredOf(body),
          generate,
        },
        form,
      },
    };
  },
  errorBody: (envelope) => envelope,
};

export const openaiCompletions = readableDialect(dialect, { schema: CompletionsBody, parts: null });
