/** Text completions as SGLang writes them (serving_completions.py): with `text` in place of a message. */
import type { AnswerOptions, BodyFormat, Chunk, StreamFormat } from './answer.ts';
import { Detokenizer, decode } from './detokenizer.ts';
import { type Envelope, logprobOf, metadataOf, type Usage } from './openai-shape.ts';
import type { Finish, PlannedToken } from './plan.ts';

interface TextChoice {
  index: number;
  text: string;
  finish?: Finish | null;
  logprobs?: unknown;
}

export class TextStreamFormat implements StreamFormat {
  readonly #options: AnswerOptions;
  readonly #texts = new Map<number, Detokenizer>();
  readonly #ended = new Set<number>();
  #lastChoice = 0;

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  opening(choice: number): Chunk[] {
    if (!this.#texts.has(choice)) this.#texts.set(choice, new Detokenizer());
    return [];
  }

  /** Each token has a chunk, even one without text; that of the last has the finish reason. */
  token(
    index: number,
    token: PlannedToken,
    { usage, finish }: { usage: Usage | undefined; finish: Finish | null },
  ): Chunk[] {
    const { request, envelope } = this.#options;
    this.#lastChoice = index;
    if (finish) this.#ended.add(index);
    const text = this.#texts.get(index)!.push(token.text, finish);
    const logprobs = request.logprobs ? logprobsOf([token], request.topLogprobs) : null;
    // Continuous usage of text completions names no cached tokens.
    const counted = usage ? { ...usage, prompt_tokens_details: null } : null;
    return [textChunk(envelope, [{ index, text, finish, logprobs }], { usage: counted })];
  }

  /** An aborted choice ends without a last token. */
  finish(index: number, finish: Finish): Chunk[] {
    if (this.#ended.has(index)) return [];
    return [textChunk(this.#options.envelope, [{ index, text: '', finish }], { usage: null })];
  }

  usage({ completion_tokens_details: details, ...usage }: Usage): Chunk {
    // Here alone a member without a value is left out.
    const written = details ? { ...usage, completion_tokens_details: details } : usage;
    return textChunk(this.#options.envelope, [], { usage: written, choice: this.#lastChoice });
  }
}

/** The body of an answer without streaming. */
export function textBody(
  { envelope, request }: AnswerOptions,
  { weightVersion }: { weightVersion: string },
): BodyFormat {
  return (choices, usage) => {
    const textChoices = choices.map(({ tokens, finish }, index) => {
      const logprobs = request.logprobs ? logprobsOf(tokens, request.topLogprobs) : null;
      const text = decode(
        tokens.map((token) => token.text),
        finish,
      );
      return { index, text, finish, logprobs };
    });
    const metadata = metadataOf(weightVersion, choices[0]!.tokens.length);
    return { ...textChunk(envelope, textChoices, { usage, choice: 0 }), metadata };
  };
}

function textChunk(
  { ids, created, model }: Envelope,
  choices: TextChoice[],
  { usage, choice }: { usage: Usage | null; choice?: number },
) {
  return {
    id: ids[choice ?? choices[0]!.index],
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
  const tops = entries.map(({ top_logprobs }) =>
    Object.fromEntries(top_logprobs.map(({ token, logprob }) => [token, logprob])),
  );
  return {
    text_offset: entries.map(() => -1),
    token_logprobs: entries.map(({ logprob }) => logprob),
    tokens: entries.map(({ token }) => token),
    top_logprobs: topCount > 0 ? tops : [],
  };
}
