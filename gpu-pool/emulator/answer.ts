/** Turns the engine's tokens into an answer: chunk by chunk, or collected into one body. */
import type { Counts } from './job.ts';
import {
  chatCompletion,
  type Delta,
  deltaChunk,
  type Envelope,
  type FinishedChoice,
  finishReason,
  logprobOf,
  toolChunk,
  usageChunk,
  usageOf,
} from './openai-shape.ts';
import type { Finish, PlannedToken } from './plan.ts';
import type { ChatRequest } from './request.ts';
import { THINK_END } from './tokenizer.ts';
import type { Wire } from './wire.ts';

export interface Answer {
  token(choice: number, token: PlannedToken, counts: Counts): void;
  end(finishes: Finish[], totals: Counts): void;
}

export interface AnswerOptions {
  request: ChatRequest;
  envelope: Envelope;
  wire: Wire;
  cacheReport: boolean;
}

export class StreamedAnswer implements Answer {
  readonly #options: AnswerOptions;
  #started = new Set<number>();
  #calledTools = new Set<number>();
  #heldReasoning = new Map<number, string>();
  /** tokens that showed nothing, to be counted with the next event */
  #unshownTokens = 0;

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  token(choice: number, token: PlannedToken, counts: Counts): void {
    const { request, envelope, cacheReport } = this.#options;
    this.#start(choice);
    this.#unshownTokens += 1;
    // Usage comes with chunks that carry output, and only them: neither the role chunk nor the one with the
    // finish reason has it (sglang#12241). It is this choice's own, cached tokens included (sglang#29703).
    const usage = request.continuousUsage ? usageOf(counts, { cacheReport }) : undefined;
    if (token.tool) {
      this.#calledTools.add(choice);
      this.#send(toolChunk(envelope, { index: choice, tool: token.tool, usage }));
      return;
    }
    const delta = this.#deltaOf(choice, token);
    if (!delta) return;
    const logprobs = request.logprobs ? { content: [logprobOf(token, request.topLogprobs)] } : null;
    this.#send(deltaChunk(envelope, { index: choice, delta, logprobs, usage }));
  }

  end(finishes: Finish[], totals: Counts): void {
    const { request, envelope, wire, cacheReport } = this.#options;
    // Finish reasons go out together, when the last choice has ended (serving_chat.py).
    for (const [index, finish] of finishes.entries()) {
      this.#start(index);
      const held = this.#heldReasoning.get(index);
      // Generation ended inside the reasoning, so no end tag has released it.
      if (held) wire.event(deltaChunk(envelope, { index, delta: { reasoning: held } }));
      const reason = finishReason(finish, this.#calledTools.has(index));
      wire.event(deltaChunk(envelope, { index, delta: {}, finish: { reason, matched: finish.matched } }));
    }
    if (request.includeUsage) wire.event(usageChunk(envelope, usageOf(totals, { cacheReport })));
    wire.finishStream();
  }

  #start(choice: number): void {
    if (this.#started.has(choice)) return;
    this.#started.add(choice);
    const { envelope, wire } = this.#options;
    wire.event(deltaChunk(envelope, { index: choice, delta: { role: 'assistant', content: '' } }));
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

  #send(chunk: object): void {
    this.#options.wire.event(chunk, { tokens: this.#unshownTokens });
    this.#unshownTokens = 0;
  }
}

export class CollectedAnswer implements Answer {
  readonly #options: AnswerOptions & { weightVersion: string };
  #tokens: PlannedToken[][];

  constructor(options: AnswerOptions & { weightVersion: string }) {
    this.#options = options;
    this.#tokens = Array.from({ length: options.request.n }, () => []);
  }

  token(choice: number, token: PlannedToken): void {
    this.#tokens[choice]!.push(token);
    this.#options.wire.countTokens(1);
  }

  end(finishes: Finish[], totals: Counts): void {
    const { envelope, wire, cacheReport, weightVersion } = this.#options;
    const choices = finishes.map((finish, index) => this.#choice(this.#tokens[index]!, finish));
    const usage = usageOf(totals, { cacheReport });
    wire.json(200, wire.spoilUsage(chatCompletion(envelope, { choices, usage, weightVersion })));
  }

  #choice(tokens: PlannedToken[], finish: Finish): FinishedChoice {
    const { separateReasoning, logprobs, topLogprobs } = this.#options.request;
    const inReasoning = (token: PlannedToken) => separateReasoning && token.reasoning;
    const reasoning = tokens
      .filter(inReasoning)
      .map((token) => token.shown)
      .join('');
    const content = tokens
      .filter((token) => !inReasoning(token))
      .map(separateReasoning ? shownText : rawText);
    return {
      content: content.join(''),
      reasoning: reasoning === '' ? null : reasoning,
      tools: wholeTools(tokens),
      finish,
      logprobs: logprobs ? { content: tokens.map((token) => logprobOf(token, topLogprobs)) } : null,
    };
  }
}

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

/** Without separate_reasoning the end tag stays in the text. */
function rawText(token: PlannedToken): string {
  return token.text === THINK_END ? THINK_END : token.shown;
}
