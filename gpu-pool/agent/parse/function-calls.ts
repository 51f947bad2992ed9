/**
 * The call between the tags of Qwen3-Coder:
 * `<function=NAME>\n<parameter=KEY>\nVALUE\n</parameter>\n…</function>`. A closing tag may be missing.
 */
import { objectText, schemaValue } from './argument-value.ts';
import { wholeCall } from './piece.ts';
import type { ParseCall } from './tagged-calls.ts';
import { parametersOf, type ToolDefinition } from './tool-schema.ts';

const FUNCTION = /<function=([\s\S]*?)(<\/function>|$)/g;
const PARAMETER = /<parameter=([\s\S]*?)(?:<\/parameter>|(?=<parameter=)|(?=<\/function>)|($))/g;

export function functionCalls(tools: readonly ToolDefinition[]): ParseCall {
  return (body, { cut }) =>
    [...body.matchAll(FUNCTION)].flatMap(([, text = '', end]) => {
      const open = cut && end === '';
      const nameEnd = text.indexOf('>');
      const name = text.slice(0, Math.max(0, nameEnd)).trim();
      if (name === '') return [];
      const known = parametersOf(tools.find((tool) => tool.name === name)?.parameters);
      const pairs = [...text.slice(nameEnd + 1).matchAll(PARAMETER)].flatMap(([, parameter = '', last]) => {
        const keyEnd = parameter.indexOf('>');
        // A value of which more was to come is left out.
        if (keyEnd < 0 || (open && last !== undefined)) return [];
        const key = parameter.slice(0, keyEnd);
        return [[key, schemaValue(betweenTags(parameter.slice(keyEnd + 1)), known[key])] as const];
      });
      return wholeCall(name, objectText(pairs, { open }));
    });
}

/** A value without the line breaks that set it apart from its tags. */
function betweenTags(text: string): string {
  return text.replace(/^\n/, '').replace(/\n$/, '');
}
