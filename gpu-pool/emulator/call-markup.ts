/** Calls of tools as the families of models write them, by SGLang's name of the parser that reads them. */
import { tokenize } from './tokenizer.ts';

export interface PlannedCall {
  name: string;
  arguments: unknown;
}

interface Markup {
  begin: string[];
  call(call: PlannedCall, at: number): string[];
  between: string[];
  end: string[];
}

/** R1 and V3 put each further call on a line of its own. The fences are tokens, as in DeepSeek's vocabulary. */
const DEEPSEEK_V3: Markup = {
  begin: ['<｜tool▁calls▁begin｜>'],
  call: ({ name, arguments: args }) => [
    ...['<｜tool▁call▁begin｜>', 'function', '<｜tool▁sep｜>', name, '\n```json\n'],
    ...tokenize(JSON.stringify(args)),
    ...['\n```', '<｜tool▁call▁end｜>'],
  ],
  between: ['\n'],
  end: ['<｜tool▁calls▁end｜>'],
};

const QWEN: Markup = {
  begin: [],
  call: ({ name, arguments: args }) => [
    '<tool_call>',
    ...tokenize(`\n${JSON.stringify({ name, arguments: args })}\n`),
    '</tool_call>',
  ],
  between: ['\n'],
  end: [],
};

const MARKUP: Record<string, Markup | undefined> = {
  qwen: QWEN,
  qwen25: QWEN,
  hermes: QWEN,
  deepseekv31: {
    begin: ['<｜tool▁calls▁begin｜>'],
    call: ({ name, arguments: args }) => [
      ...['<｜tool▁call▁begin｜>', name, '<｜tool▁sep｜>'],
      ...tokenize(JSON.stringify(args)),
      '<｜tool▁call▁end｜>',
    ],
    between: [],
    end: ['<｜tool▁calls▁end｜>'],
  },
  deepseekv32: {
    begin: ['<｜DSML｜', 'function_calls', '>\n'],
    call: ({ name, arguments: args }) => [
      ...tokenize(`<｜DSML｜invoke name="${name}">\n`),
      ...members(args, (key, value) => {
        const isString = typeof value === 'string';
        return `<｜DSML｜parameter name="${key}" string="${isString}">${plain(value)}</｜DSML｜parameter>\n`;
      }),
      ...tokenize('</｜DSML｜invoke>\n'),
    ],
    between: [],
    end: ['</｜DSML｜', 'function_calls', '>'],
  },
  qwen3_coder: {
    begin: [],
    call: ({ name, arguments: args }) => [
      '<tool_call>',
      ...tokenize(`\n<function=${name}>\n`),
      ...members(args, (key, value) => `<parameter=${key}>\n${plain(value)}\n</parameter>\n`),
      ...tokenize('</function>\n'),
      '</tool_call>',
    ],
    between: ['\n'],
    end: [],
  },
  glm45: {
    begin: [],
    call: ({ name, arguments: args }) => [
      '<tool_call>',
      ...tokenize(`${name}\n`),
      ...members(args, (key, value) => `<arg_key>${key}</arg_key>\n<arg_value>${plain(value)}</arg_value>\n`),
      '</tool_call>',
    ],
    between: ['\n'],
    end: [],
  },
  kimi_k2: {
    begin: ['<|tool_calls_section_begin|>'],
    call: ({ name, arguments: args }, at) => [
      '<|tool_call_begin|>',
      ...tokenize(`functions.${name}:${at}`),
      '<|tool_call_argument_begin|>',
      ...tokenize(JSON.stringify(args)),
      '<|tool_call_end|>',
    ],
    between: [],
    end: ['<|tool_calls_section_end|>'],
  },
};

/** Members of arguments in markup that names each. */
function members(args: unknown, write: (key: string, value: unknown) => string): string[] {
  return Object.entries(args as object).flatMap(([key, value]) => tokenize(write(key, value)));
}

/** A value as formats with tags write it: strings bare, everything else as JSON. */
function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/**
 * The tokens of calls until there are more than may be sent: arguments can be long, and a request can ask for many calls.
 * @param parser null, or a name without a format of its own here: R1's
 */
export function callTokens(parser: string | null, calls: Iterable<PlannedCall>, tokensMax: number): string[] {
  const { begin, call: write, between, end } = MARKUP[parser ?? ''] ?? DEEPSEEK_V3;
  const tokens = [...begin];
  let at = 0;
  for (const call of calls) {
    if (tokens.length > tokensMax) break;
    if (at > 0) tokens.push(...between);
    for (const token of write(call, at)) tokens.push(token);
    at += 1;
  }
  return [...tokens, ...end];
}
