/**
 * Tool calls as dialects take them: each under an index of its own, with an id and a name from its first delta on, one
 * behind the other. Engines are not that tidy. Some give all calls the index 0, repeat a name, or leave an id out, and calls
 * may grow in turn, while Anthropic's blocks and OpenAI's items can only follow one another. A call therefore waits until the one
 * before it is whole, as does text behind a call; nothing else is held back. The end of a choice says whether it has calls.
 */
import { JsonEnd } from '../protocol/json-end.ts';
import type { NodeChunk } from '../protocol/schemas.ts';
import { isCut, trueEnding } from './ending.ts';

type Choice = NodeChunk['choices'][number];
type CallDelta = NonNullable<Choice['delta']['tool_calls']>[number];

export class OrderedCalls {
  readonly #newId: (choice: number, call: number) => string;
  readonly #callsMax: number;
  /** By index, the choices that have called a tool. */
  readonly #choices = new Map<number, ChoiceCalls>();
  #usage: NodeChunk['usage'] | null = null;

  /**
   * @param newId makes the id of a call that the engine gave none, or that of another call
   * @param callsMax calls of each choice; further ones are dropped
   */
  constructor(newId: (choice: number, call: number) => string, callsMax = Number.POSITIVE_INFINITY) {
    this.#newId = newId;
    this.#callsMax = callsMax;
  }

  /** The chunk with its calls in order. A chunk of an answer without calls is returned as it is. */
  take(chunk: NodeChunk): NodeChunk {
    if (this.#choices.size === 0 && chunk.choices.every(isPlain)) return chunk;
    this.#usage = chunk.usage;
    return { choices: chunk.choices.flatMap((choice) => this.#take(choice)), usage: chunk.usage };
  }

  /** The calls and texts that still wait, when the answer has ended before its choices did; null: none. */
  end(): NodeChunk | null {
    const choices = [...this.#choices.values()].flatMap((calls) => calls.end({ cut: true }));
    return choices.length === 0 ? null : { choices, usage: this.#usage! };
  }

  #take(choice: Choice): Choice[] {
    const { index } = choice;
    let calls = this.#choices.get(index);
    if (calls === undefined) {
      if (isPlain(choice)) return [choice];
      calls = new ChoiceCalls(index, this.#callsMax, (call) => this.#newId(index, call));
      this.#choices.set(index, calls);
    }
    return calls.take(choice);
  }
}

/** A choice that neither calls nor says that it has. */
function isPlain({ delta, finish_reason }: Choice): boolean {
  return delta.tool_calls === undefined && finish_reason !== 'tool_calls';
}

interface Call {
  /** The engine's index of it. */
  readonly index: number;
  /** The id under which the engine knows the call; undefined: it has given none. */
  engineId: string | undefined;
  name: string | undefined;
  /** Arguments that have not been passed on. */
  held: string;
  readonly json: JsonEnd;
  isWhole: boolean;
  hasArguments: boolean;
}

/** The calls of one choice. */
class ChoiceCalls {
  readonly #index: number;
  readonly #callsMax: number;
  readonly #newId: (call: number) => string;
  readonly #byId = new Map<string, Call>();
  /** The call that an index was last used for. */
  readonly #byIndex = new Map<number, Call>();
  /** The call that was begun last. */
  #last: Call | null = null;
  readonly #usedIds = new Set<string>();
  #named = 0;
  #opened = 0;
  /** The call that grows at the client. */
  #open: Call | null = null;
  /** Calls and text behind it. */
  #waiting: (Call | Choice)[] = [];

  constructor(index: number, callsMax: number, newId: (call: number) => string) {
    this.#index = index;
    this.#callsMax = callsMax;
    this.#newId = newId;
  }

  take({ delta, finish_reason, stop_sequence, logprobs }: Choice): Choice[] {
    const { tool_calls: calls = [], ...text } = delta;
    const hasText = Object.keys(text).length > 0 || logprobs !== undefined;
    if (hasText) this.#waiting.push(this.#choice(text, logprobs));
    const passed: Choice[] = this.#drain();
    for (const call of calls) passed.push(...this.#grow(call));
    if (finish_reason === null) return passed;
    passed.push(...this.end({ cut: isCut(finish_reason) }));
    const said = { finish: finish_reason, sequence: stop_sequence };
    const { finish, sequence } = trueEnding(said, { hasCalls: this.#opened > 0 });
    const stopped = sequence === undefined ? {} : { stop_sequence: sequence };
    return [...passed, { index: this.#index, delta: {}, finish_reason: finish, ...stopped }];
  }

  /** All that waits. `cut`: the model had more to say. Calls without arguments have `{}`, but for one that was cut off. */
  end({ cut }: { cut: boolean }): Choice[] {
    const passed: Choice[] = [];
    const close = () => {
      const call = this.#open;
      this.#open = null;
      if (call && !call.hasArguments && !(cut && call === this.#last)) {
        call.hasArguments = true;
        passed.push(this.#delta({ function: { arguments: '{}' } }));
      }
    };
    for (const next of this.#waiting.splice(0)) {
      close();
      passed.push('json' in next ? this.#begin(next) : next);
    }
    close();
    return passed;
  }

  #grow(delta: CallDelta): Choice[] {
    const call = this.#callOf(delta);
    const more = delta.function.arguments ?? '';
    const name = delta.function.name || undefined;
    call.hasArguments ||= more.trim() !== '';
    call.isWhole ||= call.json.feed(more) !== null;
    // A call without a name can be neither run nor begun at a client: it waits for its name.
    const isNamed = call.name === undefined && name !== undefined;
    call.name ??= name;
    if (isNamed && this.#named < this.#callsMax) this.#waiting.push(call);
    if (isNamed) this.#named += 1;
    if (call === this.#open)
      return more === '' ? [] : [this.#delta({ function: { arguments: more } }), ...this.#drain()];
    call.held += more;
    return this.#drain();
  }

  /**
   * The call that a delta belongs to: by its id, else by its index. A delta that names a tool opens a call, unless it repeats
   * the name of the call with the same id and index.
   */
  #callOf({ id, index, function: { name } }: CallDelta): Call {
    const atIndex = this.#byIndex.get(index);
    const isAtIndex = !id || atIndex?.engineId === undefined || atIndex.engineId === id;
    const known = isAtIndex ? atIndex : this.#byId.get(id);
    const continues = !name || known?.name === undefined || (known.index === index && known.name === name);
    const call = known !== undefined && continues ? known : this.#newCall(index);
    if (id) {
      call.engineId ??= id;
      this.#byId.set(id, call);
    }
    this.#byIndex.set(index, call);
    return call;
  }

  #newCall(index: number): Call {
    this.#last = {
      ...{ index, engineId: undefined, name: undefined, held: '' },
      ...{ json: new JsonEnd(), isWhole: false, hasArguments: false },
    };
    return this.#last;
  }

  /** Passes on what waits, up to a call that is not whole and has something behind it. */
  #drain(): Choice[] {
    const passed: Choice[] = [];
    while (this.#waiting.length > 0 && (this.#open?.isWhole ?? true)) {
      const next = this.#waiting.shift()!;
      this.#open = null;
      passed.push('json' in next ? this.#begin(next) : next);
    }
    return passed;
  }

  #begin(call: Call): Choice {
    const { engineId } = call;
    const isUnused = engineId !== undefined && !this.#usedIds.has(engineId);
    const id = isUnused ? engineId : this.#newId(this.#opened);
    this.#usedIds.add(id);
    this.#open = call;
    this.#opened += 1;
    const { held } = call;
    call.held = '';
    return this.#delta({ id, type: 'function', function: { name: call.name!, arguments: held } });
  }

  /** A delta of the open call. */
  #delta(call: Omit<CallDelta, 'index'>): Choice {
    return this.#choice({ tool_calls: [{ index: this.#opened - 1, ...call }] });
  }

  #choice(delta: Choice['delta'], logprobs?: unknown): Choice {
    return {
      index: this.#index,
      delta,
      finish_reason: null,
      ...(logprobs === undefined ? {} : { logprobs }),
    };
  }
}
