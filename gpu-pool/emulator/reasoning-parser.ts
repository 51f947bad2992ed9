/**
 * Separates a thought from the answer as SGLang's R1 parser does, in a stream and in a whole text (reasoning_parser.py,
 * DeepSeekR1Detector): the text is a thought until `</think>`, whether or not it began with `<think>`.
 */
import { THINK, THINK_END } from './tokenizer.ts';

export interface Separated {
  reasoning: string;
  answer: string;
}

/** @param previous the text of an assistant message that is continued */
export function separateWhole(text: string, previous: string): Separated {
  let rest = text;
  while (rest.startsWith(THINK)) rest = rest.slice(THINK.length);
  const end = rest.indexOf(THINK_END);
  if (end !== -1) return { reasoning: rest.slice(0, end), answer: rest.slice(end + THINK_END.length) };
  return previous.includes(THINK_END) ? { reasoning: '', answer: rest } : { reasoning: rest, answer: '' };
}

export class ReasoningParser {
  #buffer = '';
  #inReasoning: boolean;
  #openingSeen = false;
  /** `stream_reasoning` of the request; without it the thought comes in one piece. */
  readonly #streams: boolean;

  constructor({ streams, previous }: { streams: boolean; previous: string }) {
    this.#streams = streams;
    this.#inReasoning = !previous.includes(THINK_END);
  }

  push(text: string): Separated {
    this.#buffer += text;
    if ([THINK, THINK_END].some((tag) => tag !== this.#buffer && tag.startsWith(this.#buffer)))
      return nothing();
    if (!this.#openingSeen && this.#buffer.includes(THINK)) {
      this.#buffer = this.#buffer.replace(THINK, '');
      this.#openingSeen = true;
      this.#inReasoning = true;
    }
    if (!this.#inReasoning) return { reasoning: '', answer: this.#take(this.#buffer.length) };
    const end = this.#buffer.indexOf(THINK_END);
    if (end !== -1) {
      const reasoning = this.#take(end);
      this.#inReasoning = false;
      return { reasoning, answer: this.#take(this.#buffer.length).slice(THINK_END.length) };
    }
    if (!this.#streams) return nothing();
    const held = [THINK_END, ...(this.#openingSeen ? [] : [THINK])].map((tag) =>
      endingPrefix(this.#buffer, tag),
    );
    return { reasoning: this.#take(this.#buffer.length - Math.max(...held)), answer: '' };
  }

  /** The text that was held back for a tag that can no longer come. */
  end(): Separated {
    const rest = this.#take(this.#buffer.length);
    if (!this.#inReasoning) return { reasoning: '', answer: rest };
    return { reasoning: rest.startsWith(THINK) ? rest.slice(THINK.length) : rest, answer: '' };
  }

  #take(length: number): string {
    const taken = this.#buffer.slice(0, length);
    this.#buffer = this.#buffer.slice(length);
    return taken;
  }
}

function nothing(): Separated {
  return { reasoning: '', answer: '' };
}

/** Length of the longest end of `text` that begins `tag` and is not all of it. */
function endingPrefix(text: string, tag: string): number {
  for (let length = Math.min(text.length, tag.length - 1); length > 0; length--)
    if (tag.startsWith(text.slice(-length))) return length;
  return 0;
}
