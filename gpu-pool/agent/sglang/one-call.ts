/**
 * Ends an answer behind its first call, for a client that wants one at a time (`parallel_tool_calls: false`). Models do not
 * know of such a wish, and no field of the engine's keeps it for all formats of calls.
 */
import { JsonEnd } from '../../protocol/json-end.ts';
import type { Part } from './json-answer.ts';

type CallDelta = NonNullable<Part['delta']['tool_calls']>[number];

export class OneCall {
  #first: CallDelta | null = null;
  readonly #json = new JsonEnd();

  /** Takes a part with calls. `part`: what of it may be passed on; `ended`: the first call is whole, or another has begun. */
  feed({ delta: { tool_calls: calls = [], ...delta }, logprobs }: Part): { part: Part; ended: boolean } {
    const kept: CallDelta[] = [];
    let ended = false;
    for (const call of calls) {
      this.#first ??= call;
      ended = ended || !this.#isFirst(call);
      if (ended) break;
      kept.push(call);
      ended = this.#json.feed(call.function.arguments ?? '') !== null;
    }
    const more = kept.length === 0 ? {} : { tool_calls: kept };
    return { part: { delta: { ...delta, ...more }, logprobs }, ended };
  }

  /** Calls are told apart by their ids, else by their indexes. */
  #isFirst({ id, index }: CallDelta): boolean {
    const first = this.#first!;
    return id !== undefined && first.id !== undefined ? id === first.id : index === first.index;
  }
}
