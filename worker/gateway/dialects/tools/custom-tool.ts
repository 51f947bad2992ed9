/**
 * Free-form tools, OpenAI's `custom`: the input of a call is text, such as a patch or a program. Models of other providers
 * were trained on functions with JSON arguments only, so they get a function with one string.
 */
import { INPUT } from '../../../../gpu-pool/answers/custom-input.ts';

/** The format that a client demands of the input: `text`, or a `grammar` with its syntax and definition. */
export interface CustomFormat {
  readonly type: string;
  readonly syntax?: string | null | undefined;
  readonly definition?: string | null | undefined;
}

interface CustomTool {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly format?: CustomFormat | null | undefined;
}

/** The function that stands for the tool. A grammar is told to the model in words; calls are not held to it. */
export function customFunction({ name, description, format }: CustomTool) {
  const text = [description, formatText(format)].filter(Boolean).join('\n\n');
  return {
    name,
    description: text,
    parameters: {
      type: 'object',
      properties: { [INPUT]: { type: 'string', description: 'The whole input of the tool, as plain text.' } },
      required: [INPUT],
      additionalProperties: false,
    },
  };
}

/** The arguments of a call with this input, as the model writes them. */
export function customArguments(input: string): string {
  return JSON.stringify({ [INPUT]: input });
}

function formatText(format: CustomFormat | null | undefined): string {
  const free = `\`${INPUT}\` is free-form text.`;
  if (!format?.definition) return free;
  const syntax =
    format.syntax === 'regex' ? 'regular expression' : `${format.syntax ?? ''} grammar`.trimStart();
  return `${free} It has to match this ${syntax}:\n${format.definition}`;
}
