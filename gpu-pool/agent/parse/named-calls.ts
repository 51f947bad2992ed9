/**
 * The call between the tags of GLM-4.5 and 4.6:
 * `NAME\n<arg_key>KEY</arg_key>\n<arg_value>VALUE</arg_value>\n…`. Some write `\n` as two characters.
 */
import { looseValue, objectText } from './argument-value.ts';
import { wholeCall } from './piece.ts';
import type { ParseCall } from './tagged-calls.ts';
import { parametersOf, type ToolDefinition, typeOf } from './tool-schema.ts';

const NAME = /^\s*([^\s<\\]+)/;
const PAIR = /<arg_key>([\s\S]*?)<\/arg_key>(?:\\n|\s)*<arg_value>([\s\S]*?)<\/arg_value>/g;

export function namedCalls(tools: readonly ToolDefinition[]): ParseCall {
  return (body, { cut }) => {
    const name = NAME.exec(body)?.[1];
    if (name === undefined) return [];
    const known = parametersOf(tools.find((tool) => tool.name === name)?.parameters);
    const pairs = [...body.matchAll(PAIR)].map(([, key = '', value = '']) => {
      const type = typeOf(known[key.trim()]);
      return [key.trim(), looseValue(value, type)] as const;
    });
    return wholeCall(name, objectText(pairs, { open: cut }));
  };
}
