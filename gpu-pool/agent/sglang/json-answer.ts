/**
 * An answer that has to be JSON, as its parts arrive. The parser of R1 takes all text for reasoning until a thought ends, so
 * an answer of a model that never opens a thought arrives as reasoning (sglang#4539). Reasoning is passed on as it comes,
 * except where it looks like JSON: that waits until content proves that it was a thought, or the end that it was the answer.
 */
import type { FinishReason, NodeChunk } from '../../protocol/schemas.ts';
import { mergeLogprobs } from './logprobs.ts';

export interface Part {
  delta: NodeChunk['choices'][number]['delta'];
  logprobs: unknown;
}

/** No more than the beginning of a JSON value. Words such as `true` are left out: thoughts begin with words too. */
const MAY_BE_JSON = /^\s*(?:["[{\d-]|$)/;

export class JsonAnswer {
  /** All reasoning so far. */
  #reasoning = '';
  #held: Part[] = [];
  #passing = false;
  #answered = false;

  /** Takes the next part; returns what can be passed on. */
  feed(part: Part): Part[] {
    const { content, tool_calls: calls, reasoning_content: reasoning } = part.delta;
    if (content !== undefined || calls !== undefined) {
      this.#answered = true;
      return [...this.#release('reasoning_content'), part];
    }
    if (reasoning === undefined || this.#answered) return [part];
    this.#reasoning += reasoning;
    if (!this.#passing && MAY_BE_JSON.test(this.#reasoning)) {
      this.#held.push(part);
      return [];
    }
    this.#passing = true;
    return [...this.#release('reasoning_content'), part];
  }

  /** The rest that is passed on at the end. An answer that came as reasoning becomes content. */
  end(reason: FinishReason): Part[] {
    if (this.#answered) return [];
    if (this.#held.length === 0)
      return reason === 'stop' && this.#reasoning !== ''
        ? [{ delta: { content: this.#reasoning }, logprobs: undefined }]
        : [];
    return this.#release(/\S/.test(this.#reasoning) ? 'content' : 'reasoning_content');
  }

  #release(field: 'content' | 'reasoning_content'): Part[] {
    const held = this.#held.splice(0);
    if (held.length === 0) return [];
    const text = held.map(({ delta }) => delta.reasoning_content ?? '').join('');
    return [{ delta: { [field]: text }, logprobs: mergeLogprobs(held.map(({ logprobs }) => logprobs)) }];
  }
}
