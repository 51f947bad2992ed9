/** The text of a canary's answer, put together from its chunks. Only the first choice counts: no more are asked for. */
import type { NodeChunk } from '../../gpu-pool/protocol/schemas.ts';

export interface CanaryText {
  readonly reasoning: string;
  readonly content: string;
  readonly calls: readonly { readonly name: string; readonly arguments: string }[];
  /** The token limit ended the answer. */
  readonly isCut: boolean;
}

/** Each text is kept up to this length; no answer to a canary's request has as much. */
const CHARS_MAX = 16_384;
const CALLS_MAX = 8;

export class CanaryTextReader {
  #reasoning = '';
  #content = '';
  #isCut = false;
  readonly #calls: { name: string; arguments: string }[] = [];

  add({ choices }: NodeChunk): void {
    for (const { index, delta, finish_reason: finish } of choices) {
      if (index !== 0) continue;
      this.#isCut ||= finish === 'length';
      this.#reasoning = joined(this.#reasoning, delta.reasoning_content);
      this.#content = joined(this.#content, delta.content);
      for (const { index: at, function: part } of delta.tool_calls ?? []) {
        if (at > this.#calls.length || at >= CALLS_MAX) continue;
        const { name, arguments: known } = this.#calls[at] ?? { name: '', arguments: '' };
        this.#calls[at] = { name: joined(name, part.name), arguments: joined(known, part.arguments) };
      }
    }
  }

  get text(): CanaryText {
    return {
      reasoning: this.#reasoning,
      content: this.#content,
      calls: this.#calls,
      isCut: this.#isCut,
    };
  }
}

function joined(known: string, more = ''): string {
  return known.length >= CHARS_MAX ? known : known + more;
}
