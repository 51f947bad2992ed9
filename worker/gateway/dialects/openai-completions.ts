/**
 * The dialect of OpenAI's original completions API: the model continues a text. No chat template is applied to the prompt.
 */
import * as z from 'zod';
import type { FinishReason, NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import { sseEvent } from '../../domain/sse.ts';
import { unreadFields } from '../../domain/unread-fields.ts';
import { toPublicUsage } from '../../domain/usage.ts';
import type { ErrorEnvelope } from '../../http/api-error.ts';
import { readFields } from '../../http/fields.ts';
import { ALIKE } from './alike.ts';
import {
  type AnswerEnd,
  type AnswerEvents,
  type AnswerHead,
  type Dialect,
  tollgateMember,
  type WholeAnswer,
} from './dialect.ts';
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
    const options: AnswerOptions = {
      choices,
      prefix: fields.echo ? fields.prompt : '',
      includeUsage: fields.stream_options?.include_usage ?? false,
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
        events: (head) => new TextEvents(head, options),
        whole: (head) => new WholeText(head, options),
      },
    };
  },
  errorBody: (envelope) => envelope,
};

export const openaiCompletions = readableDialect(dialect, { schema: CompletionsBody, parts: null });

interface AnswerOptions {
  readonly choices: number;
  /** The text that every choice begins with: the prompt if it is to be echoed, otherwise empty. */
  readonly prefix: string;
  readonly includeUsage: boolean;
}

class TextEvents implements AnswerEvents {
  readonly #facts: AnswerHead;
  readonly #head: ReturnType<typeof headOf>;
  readonly #options: AnswerOptions;
  /** Finish reasons by choice. They are sent together at the end, and the last one carries usage, as DeepSeek's does. */
  readonly #finishes: (FinishReason | null)[];
  readonly #begun = new Set<number>();
  #isAnswering = false;

  constructor(head: AnswerHead, options: AnswerOptions) {
    this.#facts = head;
    this.#head = headOf(head);
    this.#options = options;
    this.#finishes = Array.from({ length: options.choices }, () => null);
  }

  chunk({ choices }: NodeChunk): string {
    this.#isAnswering = true;
    let events = '';
    for (const { index, delta, finish_reason, logprobs } of choices) {
      if (finish_reason !== null) this.#finishes[index] = finish_reason;
      const text = this.#prefix(index) + textOf(delta);
      if (text !== '') events += this.#event([choiceOf({ index, text, finish: null, logprobs })]);
    }
    return events;
  }

  alive(): string {
    return this.#isAnswering ? this.#event([choiceOf({ index: 0, text: '', finish: null })]) : '';
  }

  end({ usage, charge, ranOut }: AnswerEnd): string {
    const last = {
      usage: toPublicUsage(usage, charge),
      ...tollgateMember(this.#facts, ranOut),
    };
    const { includeUsage } = this.#options;
    const ends = this.#finishes.map((finish, index) => {
      const choice = choiceOf({ index, text: this.#prefix(index), finish: finish ?? 'length' });
      const isLast = index === this.#finishes.length - 1;
      return this.#event([choice], isLast && !includeUsage ? last : {});
    });
    return `${ends.join('')}${includeUsage ? this.#event([], last) : ''}${sseEvent('[DONE]')}`;
  }

  failed(error: ErrorEnvelope['error']): string {
    return sseEvent(JSON.stringify({ error }));
  }

  #prefix(index: number): string {
    if (this.#begun.has(index)) return '';
    this.#begun.add(index);
    return this.#options.prefix;
  }

  #event(choices: object[], extra: object = {}): string {
    const noUsage = this.#options.includeUsage ? { usage: null } : {};
    return sseEvent(JSON.stringify({ ...this.#head, choices, ...noUsage, ...extra }));
  }
}

class WholeText implements WholeAnswer {
  readonly #facts: AnswerHead;
  readonly #head: ReturnType<typeof headOf>;
  readonly #choices: { text: string; finish: FinishReason | null; logprobs: Logprobs | null }[];

  constructor(head: AnswerHead, { choices, prefix }: AnswerOptions) {
    this.#facts = head;
    this.#head = headOf(head);
    this.#choices = Array.from({ length: choices }, () => ({ text: prefix, finish: null, logprobs: null }));
  }

  chunk({ choices }: NodeChunk): void {
    for (const { index, delta, finish_reason, logprobs } of choices) {
      const choice = this.#choices[index];
      if (!choice) continue;
      choice.text += textOf(delta);
      choice.finish = finish_reason ?? choice.finish;
      if (logprobs) choice.logprobs = appended(choice.logprobs, logprobs as Logprobs);
    }
  }

  end({ usage, charge, ranOut }: AnswerEnd): object {
    return {
      ...this.#head,
      choices: this.#choices.map(({ text, finish, logprobs }, index) =>
        choiceOf({ index, text, finish: finish ?? 'length', logprobs }),
      ),
      usage: toPublicUsage(usage, charge),
      ...tollgateMember(this.#facts, ranOut),
    };
  }
}

function headOf({ requestId, createdAtMs, modelId, revision }: AnswerHead) {
  return {
    id: requestId,
    object: 'text_completion',
    created: Math.floor(createdAtMs / 1_000),
    model: modelId,
    system_fingerprint: revision,
  };
}

function choiceOf(choice: { index: number; text: string; finish: FinishReason | null; logprobs?: unknown }) {
  const { index, text, finish, logprobs = null } = choice;
  return { index, text, logprobs, finish_reason: finish };
}

/** A raw completion has no reasoning: if an engine labels a part of it as such, that part is text all the same. */
function textOf({ content = '', reasoning_content = '' }: NodeChunk['choices'][number]['delta']): string {
  return reasoning_content + content;
}

/** Four parallel lists with one entry per token. */
type Logprobs = Record<string, unknown[]>;

function appended(before: Logprobs | null, more: Logprobs): Logprobs {
  if (before === null) return more;
  return Object.fromEntries(
    Object.entries(more).map(([name, entries]) => [name, [...(before[name] ?? []), ...entries]]),
  );
}
