/** Text completions as SGLang writes them (serving_completions.py): with `text` in place of a message. */
import type { AnswerOptions, BodyFormat, Chunk, StreamFormat } from './answer.ts';
import { type Envelope, logprobOf, type Usage } from './openai-shape.ts';
import type { Finish, PlannedToken } from './plan.ts';

interface TextChoice {
  index: number;
  text: string;
  finish?: Finish;
  logprobs?: unknown;
}

export class TextStreamFormat implements StreamFormat {
  readonly #options: AnswerOptions;

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  opening(): Chunk[] {
    return [];
  }

  token(index: number, token: PlannedToken, usage: Usage | undefined): Chunk | null {
    if (token.shown === '') return null;
    const { request, envelope } = this.#options;
    const logprobs = request.logprobs ? logprobsOf([token], request.topLogprobs) : null;
    return textCompletion(envelope, [{ index, text: token.shown, logprobs }], usage ?? null);
  }

  finish(index: number, finish: Finish): Chunk[] {
    return [textCompletion(this.#options.envelope, [{ index, text: '', finish }], null)];
  }

  usage(usage: Usage): Chunk {
    return textCompletion(this.#options.envelope, [], usage);
  }
}

/** The body of an answer without streaming. */
export function textBody({ envelope, request }: AnswerOptions): BodyFormat {
  return (choices, usage) => {
    const textChoices = choices.map(({ tokens, finish }, index) => {
      const logprobs = request.logprobs ? logprobsOf(tokens, request.topLogprobs) : null;
      return { index, text: tokens.map(({ shown }) => shown).join(''), finish, logprobs };
    });
    return textCompletion(envelope, textChoices, usage);
  };
}

function textCompletion({ ids, created, model }: Envelope, choices: TextChoice[], usage: Usage | null) {
  return {
    id: ids[choices[0]?.index ?? ids.length - 1],
    object: 'text_completion',
    created,
    model,
    choices: choices.map(({ index, text, finish, logprobs = null }) => ({
      index,
      text,
      logprobs,
      finish_reason: finish?.type ?? null,
      matched_stop: finish?.matched ?? null,
    })),
    usage,
  };
}

/** Log-probabilities as four parallel lists, the format of OpenAI's first API. */
function logprobsOf(tokens: readonly PlannedToken[], topCount: number) {
  const entries = tokens.map((token) => logprobOf(token, topCount));
  return {
    text_offset: entries.map(() => -1),
    token_logprobs: entries.map(({ logprob }) => logprob),
    tokens: entries.map(({ token }) => token),
    top_logprobs: entries.map(({ top_logprobs }) =>
      Object.fromEntries(top_logprobs.map(({ token, logprob }) => [token, logprob])),
    ),
  };
}
