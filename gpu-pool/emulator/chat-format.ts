/** Chat completions as SGLang writes them (serving_chat.py). */
import type { AnswerOptions, BodyFormat, Chunk, CollectedChoice, StreamFormat } from './answer.ts';
import {
  chatCompletion,
  type Delta,
  deltaChunk,
  type FinishedChoice,
  finishReason,
  logprobOf,
  toolChunk,
  type Usage,
  usageChunk,
} from './openai-shape.ts';
import type { Finish, PlannedToken } from './plan.ts';
import type { ChatRequest } from './request.ts';
import { THINK_END } from './tokenizer.ts';

export class ChatStreamFormat implements StreamFormat {
  readonly #options: AnswerOptions;
  readonly #opened = new Set<number>();
  readonly #calledTools = new Set<number>();
  /** By choice: reasoning that waits for its end where the request does not want it streamed. */
  readonly #heldReasoning = new Map<number, string>();

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  /** The chunk that names the role. */
  opening(choice: number): Chunk[] {
    if (this.#opened.has(choice)) return [];
    this.#opened.add(choice);
    return [deltaChunk(this.#options.envelope, { index: choice, delta: { role: 'assistant', content: '' } })];
  }

  token(choice: number, token: PlannedToken, usage: Usage | undefined): Chunk | null {
    const { request, envelope } = this.#options;
    if (token.tool) {
      this.#calledTools.add(choice);
      return toolChunk(envelope, { index: choice, tool: token.tool, usage });
    }
    const delta = this.#deltaOf(choice, token);
    if (!delta) return null;
    const logprobs = request.logprobs ? { content: [logprobOf(token, request.topLogprobs)] } : null;
    return deltaChunk(envelope, { index: choice, delta, logprobs, usage });
  }

  finish(choice: number, finish: Finish): Chunk[] {
    const { envelope } = this.#options;
    const reason = finishReason(finish, this.#calledTools.has(choice));
    const held = this.#heldReasoning.get(choice);
    return [
      // Generation ended inside the reasoning, so no end tag has released it.
      ...(held ? [deltaChunk(envelope, { index: choice, delta: { reasoning: held } })] : []),
      deltaChunk(envelope, { index: choice, delta: {}, finish: { reason, matched: finish.matched } }),
    ];
  }

  usage(usage: Usage): Chunk {
    return usageChunk(this.#options.envelope, usage);
  }

  #deltaOf(choice: number, token: PlannedToken): Delta | null {
    const { separateReasoning, streamReasoning } = this.#options.request;
    if (!separateReasoning) {
      const content = rawText(token);
      return content === '' ? null : { content };
    }
    if (!token.reasoning) return token.shown === '' ? null : { content: token.shown };
    if (streamReasoning) return token.shown === '' ? null : { reasoning: token.shown };
    const reasoning = (this.#heldReasoning.get(choice) ?? '') + token.shown;
    this.#heldReasoning.set(choice, token.text === THINK_END ? '' : reasoning);
    return token.text === THINK_END ? { reasoning } : null;
  }
}

/** The body of an answer without streaming. */
export function chatBody(
  { envelope, request }: AnswerOptions,
  { weightVersion }: { weightVersion: string },
): BodyFormat {
  return (choices, usage) =>
    chatCompletion(envelope, {
      choices: choices.map((choice) => finishedChoice(choice, request)),
      usage,
      weightVersion,
    });
}

function finishedChoice({ tokens, finish }: CollectedChoice, request: ChatRequest): FinishedChoice {
  const { separateReasoning, logprobs, topLogprobs } = request;
  const inReasoning = (token: PlannedToken) => separateReasoning && token.reasoning;
  const reasoning = tokens.filter(inReasoning).map(shownText).join('');
  const content = tokens.filter((token) => !inReasoning(token)).map(separateReasoning ? shownText : rawText);
  return {
    content: content.join(''),
    reasoning: reasoning === '' ? null : reasoning,
    tools: wholeTools(tokens),
    finish,
    logprobs: logprobs ? { content: tokens.map((token) => logprobOf(token, topLogprobs)) } : null,
  };
}

/** Tool calls with their arguments joined; the delta that opens a call carries its id. */
function wholeTools(tokens: PlannedToken[]) {
  const deltas = tokens.flatMap((token) => token.tool ?? []);
  return deltas
    .filter((delta) => delta.id !== null)
    .map((opening) => ({
      ...opening,
      arguments: deltas
        .filter(({ index }) => index === opening.index)
        .map((delta) => delta.arguments)
        .join(''),
    }));
}

function shownText(token: PlannedToken): string {
  return token.shown;
}

/** The text of a token without separate_reasoning, where the end tag stays in the text. */
function rawText(token: PlannedToken): string {
  return token.text === THINK_END ? THINK_END : token.shown;
}
