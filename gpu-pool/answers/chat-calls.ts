/**
 * Calls in an answer of chat completions, in the form in which the client declared the tool: `custom` with the text of its
 * input, or the one `function_call` that libraries from before `tool_calls` know. Calls of functions stay as they are.
 */
import type { ChatFormat } from '../protocol/answer-format.ts';
import type { NodeChunk } from '../protocol/schemas.ts';
import { CustomInput } from './custom-input.ts';

type Choice = NodeChunk['choices'][number];
type CallDelta = NonNullable<Choice['delta']['tool_calls']>[number];

/** How the calls of an answer are written. */
export interface CallStyle {
  /** Names of the tools whose input is free-form text. */
  readonly custom: ReadonlySet<string>;
  /** The request had `functions` in place of `tools`. */
  readonly isLegacy: boolean;
}

export function callStyle({ custom_tools, legacy_calls }: ChatFormat): CallStyle {
  return { custom: new Set(custom_tools), isLegacy: legacy_calls ?? false };
}

/** A finish reason as clients get it; nodes do not know `function_call`. */
export type ChatFinish = Choice['finish_reason'] | 'function_call';

/** Whether calls need another form than the node's. */
export function needsStyle({ custom, isLegacy }: CallStyle): boolean {
  return isLegacy || custom.size > 0;
}

/** Rewrites the calls of a streamed answer's choices. */
export class StyledCalls {
  readonly #style: CallStyle;
  /** By choice, the inputs that are open, by the call's index; null: the call is that of a function. */
  readonly #open = new Map<number, Map<number, CustomInput | null>>();

  constructor(style: CallStyle) {
    this.#style = style;
  }

  take(choice: Choice): Choice {
    const { index, delta, finish_reason } = choice;
    const { tool_calls: given = [], ...rest } = delta;
    if (this.#style.isLegacy) {
      const call = given.find((each) => each.index === 0);
      const legacy = call ? { function_call: call.function } : {};
      return {
        ...choice,
        delta: { ...rest, ...legacy },
        finish_reason: finishOf(finish_reason, true) as null,
      };
    }
    const calls = given.flatMap((call) => this.#call(index, call));
    if (finish_reason !== null) calls.push(...this.#ends(index));
    const tool_calls = calls as CallDelta[];
    return { ...choice, delta: tool_calls.length > 0 ? { ...rest, tool_calls } : rest };
  }

  #call(choice: number, call: CallDelta): object[] {
    const { name, arguments: args = '' } = call.function;
    const known = this.#inputsOf(choice).get(call.index);
    if (known === null) return [call];
    if (known) return inputDelta(call.index, known.push(args));
    // A call begins where the one before it has ended.
    const ends = this.#ends(choice);
    const isCustom = this.#style.custom.has(name ?? '');
    const input = isCustom ? new CustomInput() : null;
    this.#inputsOf(choice).set(call.index, input);
    if (input === null) return [...ends, call];
    const custom = { name, input: input.push(args) };
    return [...ends, { index: call.index, id: call.id, type: 'custom', custom }];
  }

  #ends(choice: number): object[] {
    const inputs = this.#inputsOf(choice);
    const ends = [...inputs].flatMap(([index, input]) => (input ? inputDelta(index, input.end()) : []));
    for (const index of inputs.keys()) inputs.set(index, null);
    return ends;
  }

  #inputsOf(choice: number): Map<number, CustomInput | null> {
    const inputs = this.#open.get(choice) ?? new Map<number, CustomInput | null>();
    this.#open.set(choice, inputs);
    return inputs;
  }
}

function inputDelta(index: number, input: string): object[] {
  return input === '' ? [] : [{ index, custom: { input } }];
}

interface WholeCall {
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: string };
}

/** The member of a whole message that has its calls. */
export function styledMember(
  { custom: customTools, isLegacy }: CallStyle,
  calls: readonly WholeCall[],
): object {
  if (calls.length === 0) return {};
  if (isLegacy) return { function_call: calls[0]!.function };
  return {
    tool_calls: calls.map((call) => {
      const { name, arguments: args } = call.function;
      if (!customTools.has(name)) return call;
      const input = new CustomInput();
      input.push(args);
      input.end();
      return { id: call.id, type: 'custom', custom: { name, input: input.text } };
    }),
  };
}

export function finishOf(reason: Choice['finish_reason'], isLegacy: boolean): ChatFinish {
  return isLegacy && reason === 'tool_calls' ? 'function_call' : reason;
}
