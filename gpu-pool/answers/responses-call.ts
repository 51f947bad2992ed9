/** A call of a tool as an item of OpenAI's response, in the form in which the client declared the tool, while it grows. */
import type { ToolForm } from '../protocol/answer-format.ts';
import { CustomInput } from './custom-input.ts';

type Status = 'in_progress' | 'completed' | 'incomplete';

interface CallFields {
  readonly id: string;
  readonly call_id: string;
  /** The client's own name of the tool. */
  readonly name: string;
  /** The namespace in which the client declared the tool, without which it would not find it again. */
  readonly namespace?: string;
  status: Status;
}
interface FunctionCall extends CallFields {
  readonly type: 'function_call';
  arguments: string;
}
interface CustomCall extends CallFields {
  readonly type: 'custom_tool_call';
  input: string;
}
export type CallItem = FunctionCall | CustomCall;

/** Events of a call by the type of its item. */
export const CALL_EVENTS = {
  function_call: {
    delta: 'response.function_call_arguments.delta',
    done: 'response.function_call_arguments.done',
  },
  custom_tool_call: {
    delta: 'response.custom_tool_call_input.delta',
    done: 'response.custom_tool_call_input.done',
  },
} as const;

export interface GrowingCall {
  readonly item: CallItem;
  /** @returns the text that the arguments add to the item */
  take(args: string): string;
  /** @returns the text that the end adds to the item */
  end(): string;
  /** The member of the item that has grown. */
  whole(): { arguments: string } | { input: string };
}

/** @param form undefined: a tool that the request does not have, whose name stays as the model wrote it */
export function growingCall(
  form: ToolForm | undefined,
  called: { newId(prefix: string): string; callId: string | undefined; name: string },
): GrowingCall {
  return form?.kind === 'custom' ? customCall(form, called) : functionCall(form, called);
}

function functionCall(
  form: ToolForm | undefined,
  { newId, callId, name }: Parameters<typeof growingCall>[1],
): GrowingCall {
  const id = newId('fc');
  const item: FunctionCall = {
    type: 'function_call',
    id,
    call_id: callId ?? id,
    ...namesOf(form, name),
    arguments: '',
    status: 'in_progress',
  };
  return {
    item,
    take(args) {
      item.arguments += args;
      return args;
    },
    end: () => '',
    whole: () => ({ arguments: item.arguments }),
  };
}

function customCall(form: ToolForm, { newId, callId, name }: Parameters<typeof growingCall>[1]): GrowingCall {
  const id = newId('ctc');
  const input = new CustomInput();
  const item: CustomCall = {
    type: 'custom_tool_call',
    id,
    call_id: callId ?? id,
    ...namesOf(form, name),
    input: '',
    status: 'in_progress',
  };
  const grow = (delta: string) => {
    item.input += delta;
    return delta;
  };
  return {
    item,
    take: (args) => grow(input.push(args)),
    end: () => grow(input.end()),
    whole: () => ({ input: item.input }),
  };
}

function namesOf(form: ToolForm | undefined, name: string) {
  if (form === undefined) return { name };
  const { namespace } = form;
  return namespace === undefined ? { name: form.name } : { name: form.name, namespace };
}
