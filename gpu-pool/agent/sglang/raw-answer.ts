/**
 * One choice of an answer that the engine sends as raw text: its reasoning, content and calls, as the engine would send
 * them if its own parsers did not depend on how the text is cut.
 */
import { type AnswerFormat, AnswerParser } from '../parse/answer-parser.ts';
import type { Piece } from '../parse/piece.ts';
import type { Part } from './json-answer.ts';
import { mergeLogprobs } from './logprobs.ts';

export interface RawAnswerOptions {
  format: AnswerFormat;
  /** A new id for a call. */
  newCallId(): string;
}

export class RawAnswer {
  readonly #options: RawAnswerOptions;
  #parser: AnswerParser | null = null;
  #calls = 0;
  /** Log-probabilities of text that is held back, or that is markup: they go with the next part. */
  #logprobs: unknown[] = [];

  constructor(options: RawAnswerOptions) {
    this.#options = options;
  }

  /** Whether the text so far ends inside a thought. */
  get thinking(): boolean {
    return this.#parser?.thinking ?? false;
  }

  get hasCalls(): boolean {
    return this.#calls > 0;
  }

  /**
   * Takes the next text. `reasoningTokens`: how many tokens of reasoning the engine has counted, null where it does not say.
   * It counts from the first token on where the prompt has opened a thought, and none where it has not.
   */
  feed(text: string, logprobs: unknown, reasoningTokens: number | null): Part[] {
    const thinking = reasoningTokens === null ? null : reasoningTokens > 0;
    this.#parser ??= new AnswerParser(this.#options.format, { thinking });
    if (logprobs !== undefined) this.#logprobs.push(logprobs);
    return this.#parts(this.#parser.feed(text));
  }

  /** The rest, when the answer has ended. `cut`: the model had more to say. */
  end(options: { cut: boolean }): Part[] {
    const parts = this.#parts(this.#parser?.end(options) ?? []);
    if (this.#logprobs.length > 0) parts.push({ delta: {}, logprobs: this.#takeLogprobs() });
    return parts;
  }

  #parts(pieces: Piece[]): Part[] {
    const parts = pieces.map((piece): Part => ({ delta: this.#delta(piece), logprobs: undefined }));
    const [first] = parts;
    if (first !== undefined) first.logprobs = this.#takeLogprobs();
    return parts;
  }

  #takeLogprobs(): unknown {
    return this.#logprobs.length === 0 ? undefined : mergeLogprobs(this.#logprobs.splice(0));
  }

  #delta(piece: Piece): Part['delta'] {
    switch (piece.kind) {
      case 'content':
        return { content: piece.text };
      case 'reasoning':
        return { reasoning_content: piece.text };
      case 'call': {
        const { name, id = this.#options.newCallId() } = piece;
        this.#calls += 1;
        return { tool_calls: [{ index: this.#calls - 1, id, type: 'function', function: { name } }] };
      }
      case 'arguments':
        return { tool_calls: [{ index: this.#calls - 1, function: { arguments: piece.text } }] };
    }
  }
}
