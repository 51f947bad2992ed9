/** Answers as OpenAI's original completions: text that continues the prompt. */
import type { CompletionsFormat } from '../protocol/answer-format.ts';
import type { FinishReason, NodeChunk } from '../protocol/schemas.ts';
import {
  type AnswerEnd,
  type PublicError,
  type StreamEnding,
  type StreamFormatter,
  sseEvent,
  type Tail,
  tollgateMember,
  type WholeFormatter,
} from './formatter.ts';
import { toPublicUsage } from './public-usage.ts';

export class TextStream implements StreamFormatter {
  events = 0;
  readonly #format: CompletionsFormat;
  /** Finish reasons by choice. They are sent together at the end, and the last one carries usage, as DeepSeek's does. */
  readonly #finishes: (FinishReason | null)[];
  readonly #begun = new Set<number>();
  #isAnswering = false;

  constructor(format: CompletionsFormat) {
    this.#format = format;
    this.#finishes = Array.from({ length: format.choices }, () => null);
  }

  chunk({ choices }: NodeChunk): string {
    this.#isAnswering = true;
    let events = '';
    for (const { index, delta, finish_reason, logprobs } of choices) {
      if (finish_reason !== null) this.#finishes[index] = finish_reason;
      const text = this.#prefix(index) + textOf(delta);
      if (text !== '') events += this.#event(choiceOf({ index, text, finish: null, logprobs }));
    }
    return events;
  }

  alive(): string {
    return this.#isAnswering ? this.#event(choiceOf({ index: 0, text: '', finish: null })) : '';
  }

  /** Ends the choices. The last one is the edge's to write, as its chunk may have usage. */
  close(): { text: string; tail: Tail } {
    const ends = this.#finishes.map((finish, index) =>
      choiceOf({ index, text: this.#prefix(index), finish: finish ?? 'length' }),
    );
    const choice = ends.pop()!;
    return { text: ends.map((end) => this.#event(end)).join(''), tail: { choice } };
  }

  #prefix(index: number): string {
    if (this.#begun.has(index)) return '';
    this.#begun.add(index);
    return this.#format.prefix ?? '';
  }

  #event(choice: object): string {
    this.events += 1;
    return textEvent(this.#format, [choice]);
  }
}

export class TextEnding implements StreamEnding {
  readonly #format: CompletionsFormat;

  constructor(format: CompletionsFormat) {
    this.#format = format;
  }

  end(end: AnswerEnd, { choice }: Tail): string {
    const last = endOfText(this.#format, end);
    const done = sseEvent('[DONE]');
    if (!this.#format.include_usage) return textEvent(this.#format, [choice], last) + done;
    return textEvent(this.#format, [choice]) + textEvent(this.#format, [], last) + done;
  }

  failed(error: PublicError): string {
    return sseEvent(JSON.stringify({ error }));
  }
}

export class WholeText implements WholeFormatter {
  readonly #format: CompletionsFormat;
  readonly #choices: { text: string; finish: FinishReason | null; logprobs: Logprobs | null }[];

  constructor(format: CompletionsFormat) {
    this.#format = format;
    const text = format.prefix ?? '';
    this.#choices = Array.from({ length: format.choices }, () => ({ text, finish: null, logprobs: null }));
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

  close(): object {
    return {
      ...headOf(this.#format),
      choices: this.#choices.map(({ text, finish, logprobs }, index) =>
        choiceOf({ index, text, finish: finish ?? 'length', logprobs }),
      ),
    };
  }
}

/** The members of a completion that only the edge knows. */
export function endOfText({ head }: CompletionsFormat, { usage, chargeNanoUsd, ranOut }: AnswerEnd) {
  return { usage: toPublicUsage(usage, chargeNanoUsd), ...tollgateMember(head, ranOut) };
}

function textEvent(format: CompletionsFormat, choices: unknown[], extra: object = {}): string {
  const noUsage = format.include_usage ? { usage: null } : {};
  return sseEvent(JSON.stringify({ ...headOf(format), choices, ...noUsage, ...extra }));
}

function headOf({ head }: CompletionsFormat) {
  return {
    id: head.request_id,
    object: 'text_completion',
    created: Math.floor(head.created_at_ms / 1_000),
    model: head.model,
    system_fingerprint: head.revision,
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
