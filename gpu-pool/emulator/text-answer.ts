/** A text completion as SGLang puts it on the wire (serving_completions.py): `text` in place of a message. */
import type { Answer, AnswerOptions } from './answer.ts';
import type { Counts } from './job.ts';
import { type Envelope, logprobOf, usageOf } from './openai-shape.ts';
import type { Finish, PlannedToken } from './plan.ts';

interface TextChoice {
  index: number;
  text: string;
  finish?: Finish;
  logprobs?: unknown;
}

export class StreamedText implements Answer {
  readonly #options: AnswerOptions;
  /** tokens that showed nothing, to be counted with the next event */
  #unshownTokens = 0;

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  token(index: number, token: PlannedToken, counts: Counts): void {
    const { request, envelope, wire, cacheReport } = this.#options;
    this.#unshownTokens += 1;
    if (token.shown === '') return;
    const logprobs = request.logprobs ? logprobsOf([token], request.topLogprobs) : null;
    const usage = request.continuousUsage ? usageOf(counts, { cacheReport }) : null;
    const chunk = textObject(envelope, [{ index, text: token.shown, logprobs }], usage);
    wire.event(chunk, { tokens: this.#unshownTokens });
    this.#unshownTokens = 0;
  }

  end(finishes: Finish[], totals: Counts): void {
    const { request, envelope, wire, cacheReport } = this.#options;
    for (const [index, finish] of finishes.entries())
      wire.event(textObject(envelope, [{ index, text: '', finish }], null));
    if (request.includeUsage) wire.event(textObject(envelope, [], usageOf(totals, { cacheReport })));
    wire.finishStream();
  }
}

export class CollectedText implements Answer {
  readonly #options: AnswerOptions;
  readonly #tokens: PlannedToken[][];

  constructor(options: AnswerOptions) {
    this.#options = options;
    this.#tokens = Array.from({ length: options.request.n }, () => []);
  }

  token(choice: number, token: PlannedToken): void {
    this.#tokens[choice]!.push(token);
    this.#options.wire.countTokens(1);
  }

  end(finishes: Finish[], totals: Counts): void {
    const { request, envelope, wire, cacheReport } = this.#options;
    const choices = finishes.map((finish, index) => {
      const tokens = this.#tokens[index]!;
      const logprobs = request.logprobs ? logprobsOf(tokens, request.topLogprobs) : null;
      return { index, text: tokens.map(({ shown }) => shown).join(''), finish, logprobs };
    });
    wire.json(200, wire.spoilUsage(textObject(envelope, choices, usageOf(totals, { cacheReport }))));
  }
}

function textObject(
  { id, created, model }: Envelope,
  choices: TextChoice[],
  usage: ReturnType<typeof usageOf> | null,
) {
  return {
    id,
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

/** Four lists side by side, as OpenAI's first API had them. */
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
