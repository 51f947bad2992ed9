/** Answers that a test has written for the next requests, in place of generated ones (`/emulator/answers`). */
import * as z from 'zod';
import { callTokens } from './call-markup.ts';
import type { Script } from './plan.ts';
import type { ChatRequest } from './request.ts';
import { EOS, THINK_END, tokenize } from './tokenizer.ts';

const Call = z.strictObject({ name: z.string(), arguments: z.record(z.string(), z.unknown()) });

export const ScriptedAnswer = z.strictObject({
  /** Left out by a model that does not think about the request. */
  thought: z.string().default(''),
  text: z.string().default(''),
  calls: z.array(Call).default([]),
  /**
   * The requests that it may answer: clients send others beside the conversation, such as one for its title, in no fixed
   * order. Those have no tools.
   */
  for: z.enum(['any', 'with_tools', 'without_tools']).default('any'),
  /** Real time before its first token, whatever the engine's speed, because it tests timers of clients. */
  waitMs: z.int().min(0).max(600_000).default(0),
  /** How many requests it answers before the next one is due. */
  times: z.int().min(1).max(1_000).default(1),
});
export type ScriptedAnswer = z.output<typeof ScriptedAnswer>;

const ANSWERS_MAX = 1_000;
export const ScriptedAnswers = z.array(ScriptedAnswer).max(ANSWERS_MAX);

/** The answers that are still due, in order. A request that none of them is for is left to the generator. */
export class AnswerQueue {
  #due: ScriptedAnswer[] = [];

  add(answers: readonly ScriptedAnswer[]): void {
    this.#due = [...this.#due, ...answers].slice(0, ANSWERS_MAX);
  }

  clear(): void {
    this.#due = [];
  }

  list(): readonly ScriptedAnswer[] {
    return this.#due;
  }

  /** Takes the first answer that is for such a request. Each choice of a request takes one. */
  readonly script: Script = (request, { reasoning }) => {
    const at = this.#placeFor(request);
    const found = this.#due[at];
    if (found === undefined) return undefined;
    this.#due =
      found.times > 1 ? this.#due.with(at, { ...found, times: found.times - 1 }) : this.#due.toSpliced(at, 1);
    const { thought, text, calls } = found;
    return [
      ...(reasoning ? [...tokenize(thought), THINK_END] : []),
      ...tokenize(text),
      ...(calls.length > 0 ? callTokens(request.callMarkup, calls, Number.POSITIVE_INFINITY) : []),
      EOS,
    ];
  };

  /** How long the answer to a request is to be waited for. */
  waitMsOf(request: ChatRequest): number {
    return this.#due[this.#placeFor(request)]?.waitMs ?? 0;
  }

  #placeFor(request: ChatRequest): number {
    const kind = request.tools.length > 0 ? 'with_tools' : 'without_tools';
    return this.#due.findIndex((answer) => answer.for === 'any' || answer.for === kind);
  }
}
