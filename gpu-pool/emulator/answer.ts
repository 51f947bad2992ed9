/**
 * Turns the engine's tokens into an answer: streamed chunk by chunk, or collected into one body. How chunks and body
 * look is up to a format: chat-format.ts for chat completions, text-format.ts for text completions.
 */
import type { AnswerWriter } from './answer-writer.ts';
import type { Parsers } from './choice-reader.ts';
import type { TokenCounts } from './engine-request.ts';
import { type Envelope, type Usage, type UsageOptions, usageOf } from './openai-shape.ts';
import type { Finish, PlannedToken } from './plan.ts';
import type { ChatRequest } from './request.ts';

export interface Answer {
  /** `finish` comes with a choice's last token. */
  token(choice: number, token: PlannedToken, counts: TokenCounts, finish: Finish | null): void;
  end(finishes: Finish[], totals: TokenCounts): void;
}

export interface AnswerOptions extends UsageOptions {
  request: ChatRequest;
  envelope: Envelope;
  writer: AnswerWriter;
  parsers: Parsers;
}

export type Chunk = { usage?: Usage | null };

/** The chunks of a streamed answer. An instance belongs to one answer and may keep state. */
export interface StreamFormat {
  /** Chunks that must precede the first one of a choice; called before each token and each end. */
  opening(choice: number): Chunk[];
  /** None where the token shows nothing. `usage` is undefined unless the request wants continuous usage. */
  token(
    choice: number,
    token: PlannedToken,
    context: { usage: Usage | undefined; finish: Finish | null },
  ): Chunk[];
  finish(choice: number, finish: Finish): Chunk[];
  /** The last chunk, which has no choices and sums over them. */
  usage(usage: Usage): Chunk;
}

export class StreamedAnswer implements Answer {
  readonly #options: AnswerOptions;
  readonly #format: StreamFormat;
  /** Tokens that showed nothing, to be counted with the next event. */
  #unshownTokens = 0;

  constructor(options: AnswerOptions, format: StreamFormat) {
    this.#options = options;
    this.#format = format;
  }

  token(choice: number, token: PlannedToken, counts: TokenCounts, finish: Finish | null): void {
    const { request, writer } = this.#options;
    for (const chunk of this.#format.opening(choice)) writer.event(chunk);
    this.#unshownTokens += 1;
    // Usage comes only with chunks that carry output: neither the role chunk nor the one with the finish reason has
    // it (sglang#12241). It is this choice's own, cached tokens included (sglang#29703).
    const usage = request.continuousUsage ? usageOf(counts, this.#options) : undefined;
    for (const chunk of this.#format.token(choice, token, { usage, finish })) {
      writer.event(chunk, { tokens: this.#unshownTokens });
      this.#unshownTokens = 0;
    }
  }

  end(finishes: Finish[], totals: TokenCounts): void {
    const { request, writer } = this.#options;
    // Finish reasons go out together, when the last choice has ended (serving_chat.py).
    for (const [choice, finish] of finishes.entries()) {
      const chunks = [...this.#format.opening(choice), ...this.#format.finish(choice, finish)];
      for (const chunk of chunks) writer.event(chunk);
    }
    if (request.includeUsage) writer.event(this.#format.usage(usageOf(totals, this.#options)));
    writer.finishStream();
  }
}

/** All tokens of one choice, in order. */
export interface CollectedChoice {
  tokens: PlannedToken[];
  finish: Finish;
}

export type BodyFormat = (choices: CollectedChoice[], usage: Usage) => Chunk;

export class CollectedAnswer implements Answer {
  readonly #options: AnswerOptions;
  readonly #toBody: BodyFormat;
  readonly #tokens: PlannedToken[][];

  constructor(options: AnswerOptions, toBody: BodyFormat) {
    this.#options = options;
    this.#toBody = toBody;
    this.#tokens = Array.from({ length: options.request.n }, () => []);
  }

  token(choice: number, token: PlannedToken): void {
    this.#tokens[choice]!.push(token);
    this.#options.writer.countTokens(1);
  }

  end(finishes: Finish[], totals: TokenCounts): void {
    const { writer } = this.#options;
    const choices = finishes.map((finish, index) => ({ tokens: this.#tokens[index]!, finish }));
    writer.json(200, writer.spoilUsage(this.#toBody(choices, usageOf(totals, this.#options))));
  }
}
