/** Chat completions as SGLang writes them (serving_chat.py). */
import { randomUUID } from 'node:crypto';
import type { AnswerOptions, BodyFormat, Chunk, CollectedChoice, StreamFormat } from './answer.ts';
import { ChoiceReader, type ParsedPiece, type Piece, readChoice } from './choice-reader.ts';
import {
  chatCompletion,
  deltaChunk,
  type FinishedChoice,
  logprobOf,
  metadataOf,
  parsedChunk,
  type Usage,
  usageChunk,
  type WrittenCall,
} from './openai-shape.ts';
import type { Finish, PlannedToken } from './plan.ts';
import type { ToolDelta } from './tool-parser.ts';

export class ChatStreamFormat implements StreamFormat {
  readonly #options: AnswerOptions;
  /** By choice, from its first token on. */
  readonly #readers = new Map<number, ChoiceReader>();
  #lastChoice = 0;

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  /** The chunk that names the role. */
  opening(choice: number): Chunk[] {
    if (this.#readers.has(choice)) return [];
    const { request, parsers, envelope } = this.#options;
    this.#readers.set(choice, new ChoiceReader(request, parsers));
    return [deltaChunk(envelope, { index: choice, delta: { role: 'assistant', content: '' } })];
  }

  token(choice: number, token: PlannedToken, { usage, finish }: TokenContext): Chunk[] {
    const { request, envelope } = this.#options;
    this.#lastChoice = choice;
    let logprobs = request.logprobs ? { content: [logprobOf(token, request.topLogprobs)] } : null;
    const chunks = this.#readers
      .get(choice)!
      .push(token, finish)
      .map((piece) => {
        if (!isPlain(piece)) return this.#parsed(choice, piece, usage);
        const delta = piece.kind === 'content' ? { content: piece.text } : { reasoning: piece.text };
        const chunk = deltaChunk(envelope, { index: choice, delta, logprobs, usage });
        logprobs = null;
        return chunk;
      });
    // Log-probabilities of a token without a chunk of its own come with an empty one.
    return logprobs
      ? [...chunks, deltaChunk(envelope, { index: choice, delta: {}, logprobs, usage })]
      : chunks;
  }

  /** A natural end after calls is called `tool_calls`, and "abort" goes out as it is. */
  finish(choice: number, { type, matched }: Finish): Chunk[] {
    const calledTools = this.#readers.get(choice)?.calledTools ?? false;
    const reason = type === 'stop' && calledTools ? 'tool_calls' : type;
    // The last chunks have the id of the choice that was heard last, whosever end they tell.
    const finish = { reason, matched };
    return [deltaChunk(this.#options.envelope, { index: choice, delta: {}, finish, idOf: this.#lastChoice })];
  }

  usage(usage: Usage): Chunk {
    return usageChunk(this.#options.envelope, usage, this.#lastChoice);
  }

  #parsed(index: number, piece: ParsedPiece, usage: Usage | undefined): Chunk {
    const { envelope, traits } = this.#options;
    if ('text' in piece) return parsedChunk(envelope, { index, content: piece.text, usage, traits });
    const call = withId(piece.call);
    return parsedChunk(envelope, { index, call, usage: piece.kind === 'rest' ? undefined : usage, traits });
  }
}

function isPlain(piece: Piece): piece is Exclude<Piece, ParsedPiece> {
  return piece.kind === 'reasoning' || piece.kind === 'content';
}

interface TokenContext {
  usage: Usage | undefined;
  finish: Finish | null;
}

/** The piece that names a call gives it an id, by chance (serving_chat.py, `_process_tool_call_id`). */
function withId(call: ToolDelta): WrittenCall {
  const id = call.name === null ? null : `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
  return { id, ...call };
}

/** The body of an answer without streaming. */
export function chatBody(options: AnswerOptions, { weightVersion }: { weightVersion: string }): BodyFormat {
  const { envelope, traits } = options;
  return (choices, usage) =>
    chatCompletion(envelope, {
      choices: choices.map((choice) => finishedChoice(choice, options)),
      usage,
      metadata: metadataOf(weightVersion, choices[0]!.tokens.length),
      traits,
    });
}

function finishedChoice({ tokens, finish }: CollectedChoice, options: AnswerOptions): FinishedChoice {
  const { logprobs, topLogprobs } = options.request;
  const read = readChoice(tokens, finish, options);
  return {
    content: read.content,
    reasoning: read.reasoning === '' ? null : read.reasoning,
    calls: read.calls.map(withId),
    finish: read.finish,
    logprobs: logprobs ? { content: tokens.map((token) => logprobOf(token, topLogprobs)) } : null,
  };
}
