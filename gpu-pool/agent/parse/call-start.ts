/** How a call of each family begins, where models are known to call a tool without ending their thought first. */
import type { CallStart } from './thought.ts';

/** Whether a text begins with one of some texts; null: it may, once more of it is there. */
function startsWithOne(text: string, starts: readonly string[]): boolean | null {
  if (starts.some((start) => text.startsWith(start))) return true;
  return starts.some((start) => start.startsWith(text)) ? null : false;
}

export const JSON_CALL: CallStart = {
  tag: '<tool_call>',
  begins: (behind) => startsWithOne(behind.trimStart(), ['{', '[']),
};

export const FUNCTION_CALL: CallStart = {
  tag: '<tool_call>',
  begins: (behind) => startsWithOne(behind.trimStart(), ['<function=']),
};

export const NAMED_CALL: CallStart = {
  tag: '<tool_call>',
  begins: (behind) => {
    const name = /^[\w.-]*/.exec(behind)?.[0] ?? '';
    const next = behind.slice(name.length).replace(/^(?:\\n|\s)+/, '');
    if (behind === '') return null;
    return name === '' ? false : startsWithOne(next, ['<arg_key>', '</tool_call>']);
  },
};

export const KIMI_CALLS: CallStart = {
  tag: '<|tool_calls_section_begin|>',
  begins: (behind) => startsWithOne(behind.trimStart(), ['<|tool_call_begin|>']),
};
